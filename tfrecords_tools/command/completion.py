"""Scripts by which bash and zsh complete a command's flags, made from the flags themselves."""

import re
from collections.abc import Mapping, Sequence

from absl import flags

from tfrecords_tools.errors import UserError

SHELLS = ("bash", "zsh")


def completion_script(name: str, flags_by_command: Mapping[str, Sequence[str]], shell: str) -> str:
    """Return a script that makes a shell complete a command.

    Args:
      name: the command, as it is typed.
      flags_by_command: of each command that its first argument chooses, or of "" where none is
        chosen: the words to complete, such as `--grid`, `--output=` and `--video=training`.
      shell: one of `SHELLS`.

    Raises:
      UserError: there is no such shell.
    """
    if shell not in SHELLS:
        raise UserError(f"--completion must be {' or '.join(SHELLS)}. Received: {shell}")
    function = "_" + re.sub(r"\W", "_", name)
    commands = " ".join(command for command in flags_by_command if command)
    cases = "\n".join(
        f"    {command or '*'}) words='{' '.join(words)}' ;;"
        for command, words in flags_by_command.items()
    )
    template = _BASH if shell == "bash" else _ZSH
    return template.format(name=name, function=function, commands=commands, cases=cases)


def words_of(flag_values: flags.FlagValues) -> list[str]:
    """Return the words that complete to flags: with `=` before a value, or with each choice."""
    words = ["-h", "--help", "--version", "--flagfile="]
    for name in flag_values:
        flag = flag_values[name]
        if name == "help":
            continue
        choices = getattr(flag.parser, "enum_values", None)
        if flag.boolean:
            words += [f"--{name}", f"--no{name}"]
        else:
            words += [f"--{name}=", *(f"--{name}={choice}" for choice in choices or ())]
    return words


# Bash takes `--flag=value` for three words, of which only the last is completed. A flag that takes
# a value is completed without a space after it, and its value as a file if it has no choices.
_BASH = """\
{function}() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" typed words word
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  typed="$cur"
  if [[ "$cur" == "=" ]]; then
    typed="${{COMP_WORDS[COMP_CWORD-1]}}="
    cur=""
  elif [[ "${{COMP_WORDS[COMP_CWORD-1]}}" == "=" ]]; then
    typed="${{COMP_WORDS[COMP_CWORD-2]}}=$cur"
  fi
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 && "$cur" != -* ]]; then
    COMPREPLY=($(compgen -W '{commands}' -- "$cur"))
    return
  fi
  for word in $words; do
    if [[ "$typed" == *=* && "$word" == "$typed"* && "$word" != *= ]]; then
      COMPREPLY+=("${{word#*=}}")
    elif [[ "$typed" != *=* && "$word" == "$typed"* && "$word" != *=?* ]]; then
      COMPREPLY+=("$word")
    fi
  done
  if [[ ${{#COMPREPLY[@]}} -eq 0 && ( "$typed" == *=* || "$typed" != -* ) ]]; then
    local IFS=$'\\n'
    COMPREPLY=($(compgen -f -- "$cur"))
    compopt -o filenames 2>/dev/null
  elif [[ ${{#COMPREPLY[@]}} -eq 1 && "${{COMPREPLY[0]}}" == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}}
complete -F {function} {name}
"""

_ZSH = """\
#compdef {name}
{function}() {{
  local words_given="${{words[2]}}" words choices
  case "$words_given" in
{cases}
  esac
  if (( CURRENT == 2 )) && [[ "$PREFIX" != -* && -n '{commands}' ]]; then
    compadd -- {commands}
  elif [[ "$PREFIX" == --*=* ]]; then
    choices=(${{${{(M)${{=words}}:#${{PREFIX%%=*}}=?*}}#*=}})
    compset -P '*='
    if (( $#choices )); then compadd -- $choices; else _files; fi
  elif [[ "$PREFIX" == -* ]]; then
    compadd -S '' -- ${{(M)${{=words}}:#*=}}
    compadd -- ${{${{=words}}:#*=*}}
  else
    _files
  fi
}}
compdef {function} {name}
"""
