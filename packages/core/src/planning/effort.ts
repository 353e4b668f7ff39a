/** A limit on how long a search goes on, counted in hosts judged and not in time, so that a plan can be repeated. */
export class Effort {
  #left: number

  constructor(judgementsMax: number) {
    this.#left = judgementsMax
  }

  get spent(): boolean {
    return this.#left <= 0
  }

  spend(judgements: number): void {
    this.#left -= judgements
  }

  /** A part of what is left; what it spends is spent here as well once `giveBack` is called. */
  portion(judgementsMax: number): { readonly effort: Effort; readonly giveBack: () => void } {
    const granted = Math.min(judgementsMax, this.#left)
    const effort = new Effort(granted)
    return { effort, giveBack: () => this.spend(granted - effort.#left) }
  }
}
