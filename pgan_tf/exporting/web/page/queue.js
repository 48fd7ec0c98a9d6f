/** Drawing in turn: one image at a time, and only the newest wish for the picture counts. */

/**
 * @template Job
 */
export class DrawingQueue {
  #run;
  #wanted = null; // for the picture: the latest alone
  #idle = []; // for the grid: when nothing else is wanted
  #running = false;

  /** @param {(job: Job) => Promise<void>} run draws one; it catches its own errors */
  constructor(run) {
    this.#run = run;
  }

  /** Draw a picture next, in place of one that is still waiting. */
  want(job) {
    this.#wanted = job;
    this.#next();
  }

  /** Draw these while nothing else is wanted, in place of those that are still waiting. */
  whenIdle(jobs) {
    this.#idle = [...jobs];
    this.#next();
  }

  /** True if nothing is drawn or waits. */
  get isIdle() {
    return !this.#running && this.#wanted === null && !this.#idle.length;
  }

  async #next() {
    if (this.#running) return;
    this.#running = true;
    while (this.#wanted !== null || this.#idle.length) {
      const job = this.#wanted ?? this.#idle.shift();
      if (job === this.#wanted) this.#wanted = null;
      await this.#run(job);
    }
    this.#running = false;
  }
}
