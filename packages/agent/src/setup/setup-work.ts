/** One set-up at a time: its steps, how far they are, and what came of them. */
import type { SetupAnswers, SetupPlan, SetupWorkView } from '@stead/api/endpoints/set-up.ts'
import { failure, hintOf, type Failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { refusalOf } from './check.ts'
import { FirstSteps, type AgentReach } from './first-steps.ts'
import { prepareSetup, type Place, type Setup, type SetupStep } from './set-up-host.ts'

type StepState = SetupWorkView['steps'][number]['state']

const LOOKING = 'look at everything again'

export class SetupWork {
  readonly #place: Place
  readonly #reach: AgentReach
  #view: SetupWorkView | null = null

  constructor(place: Place, reach: AgentReach) {
    this.#place = place
    this.#reach = reach
  }

  get view(): SetupWorkView | null {
    return this.#view
  }

  async check(answers: SetupAnswers): Promise<Result<SetupPlan>> {
    const prepared = await this.#prepare(answers, new FirstSteps(answers, this.#reach))
    return prepared.ok ? ok(prepared.value.plan) : prepared
  }

  /** Returns when it has begun; `view` tells the rest. */
  begin(answers: SetupAnswers, despite: readonly string[]): Result<SetupWorkView> {
    if (this.#view?.state === 'running' || this.#view?.state === 'done')
      return fail(failure('conflict', `The set-up of this host is ${this.#view.state} already`))
    this.#view = { state: 'running', steps: [{ text: LOOKING, state: 'running' }], error: null, outcome: null }
    const begun = this.#view
    void this.#run(answers, despite).catch((cause: unknown) =>
      this.#failed(failure('internal', `The set-up failed: ${String(cause)}`, { cause })),
    )
    return ok(begun)
  }

  #prepare(answers: SetupAnswers, first: FirstSteps): Promise<Result<Setup>> {
    return prepareSetup(answers, this.#place, [first.waiting, ...first.wanted])
  }

  async #run(answers: SetupAnswers, despite: readonly string[]): Promise<void> {
    const first = new FirstSteps(answers, this.#reach)
    const prepared = await this.#prepare(answers, first)
    if (!prepared.ok) return this.#failed(prepared.error)
    const { plan, steps } = prepared.value
    const refused = refusalOf(plan.checks, despite)
    if (!refused.ok) return this.#failed(refused.error)
    for (const [index] of steps.entries()) {
      this.#shows(steps, index)
      const done = await steps[index]!.run()
      if (!done.ok) return this.#failed(done.error)
    }
    this.#shows(steps, steps.length)
    this.#view = { ...this.#view!, state: 'done', outcome: first.outcome }
  }

  /** The steps before `current` are done, those after it wait. */
  #shows(steps: readonly SetupStep[], current: number): void {
    const stateOf = (index: number): StepState => (index < current ? 'done' : index === current ? 'running' : 'waiting')
    const shown = steps.map(({ text }, index) => ({ text, state: stateOf(index) }))
    this.#view = { ...this.#view!, steps: [{ text: LOOKING, state: 'done' }, ...shown] }
  }

  #failed(error: Failure): void {
    const steps = this.#view!.steps.map((step) =>
      step.state === 'running' ? { ...step, state: 'failed' as const } : step,
    )
    this.#view = {
      ...this.#view!,
      steps,
      state: 'failed',
      error: { message: error.message, hint: hintOf(error) ?? '' },
    }
  }
}
