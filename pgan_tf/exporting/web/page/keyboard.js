/** Keys, and the line of help that lists them. */

/**
 * @typedef {object} Key
 * @property {string[]} keys as in KeyboardEvent.key
 * @property {string} shown the keys, for people
 * @property {string} help
 * @property {(key: string) => void} act
 */

/** Keys with which a slider or a radio button is itself moved. */
const OWN = /^(Arrow.*|Home|End|PageUp|PageDown)$/;

/**
 * Listen to keys, while the page's check box allows it, and list them.
 *
 * Where text or numbers are typed, keys mean what they are. (A box to switch single letters off is
 * WCAG 2.1's criterion 2.1.4.)
 *
 * @param {Key[]} bindings
 */
export function listenToKeys(bindings) {
  const allowed = document.getElementById("shortcuts");
  const list = document.getElementById("key-list");
  bindings.forEach(({ shown, help }, index) => {
    const key = document.createElement("kbd");
    key.textContent = shown;
    list.append(index ? ", " : "", key, ` ${help}`);
  });
  document.getElementById("keys").hidden = false;
  document.addEventListener("keydown", (event) => {
    if (!allowed.checked || event.ctrlKey || event.altKey || event.metaKey) return;
    const { target } = event;
    if (target.matches("input[type=number], select")) return;
    if (target.matches("input[type=range], input[type=radio]") && OWN.test(event.key)) return;
    const binding = bindings.find(({ keys }) => keys.includes(event.key));
    if (!binding) return;
    event.preventDefault(); // arrows would scroll
    binding.act(event.key);
  });
}
