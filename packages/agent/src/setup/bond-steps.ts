/** Bonds as a part of a host's set-up: what is wrong with them, and the steps that make them. docs/internals/bonds.md. */
import type { SetupAnswers, SetupCheck, SetupPort } from '@stead/api/endpoints/set-up.ts'
import type { Bond, BondPlan } from '@stead/core/network/bond-plan.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { makeBond, ownNetwork, planOn } from '../network/bond-maker.ts'
import { realClock } from '../real-clock.ts'
import { checkOf } from './check.ts'
import type { SetupStep } from './set-up-host.ts'

const PROOF_MS = 30_000

type WantedBond = SetupAnswers['bonds'][number]

function bondOf(wanted: WantedBond): Bond {
  return { ...wanted, routes: [] }
}

/** As they would be made now. Empty where `ip` cannot say. */
export async function bondPlans(wanted: readonly WantedBond[]): Promise<readonly BondPlan[]> {
  const plans = await Promise.all(wanted.map((each) => planOn(ownNetwork, bondOf(each))))
  return plans.flatMap((plan) => (plan.ok ? [plan.value] : []))
}

export function bondChecks(plans: readonly BondPlan[]): readonly SetupCheck[] {
  const names = plans.flatMap(({ bond }) => bond.ports)
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  return [
    ...plans.flatMap(({ bond, findings }) => {
      const check = checkOf(`bond-${bond.name}`, `bond ${bond.name}`)
      const moving = bond.addresses.length === 0 ? 'has no address' : `has ${bond.addresses.join(', ')}`
      return findings.length === 0
        ? [check.ok(`${bond.ports.join(' and ')} become ${bond.name} (${bond.mode}), which ${moving}`)]
        : findings.map(({ state, text, hint }) => check[state](text, hint))
    }),
    ...(twice.length > 0
      ? [checkOf('bonds', 'bonds').refused(`${twice.join(', ')} is named twice`, 'A port is part of one bond')]
      : []),
  ]
}

/** The ports as they will be, for whoever asks which of them has an address. */
export function portsWithBonds(ports: readonly SetupPort[], plans: readonly BondPlan[]): readonly SetupPort[] {
  const taken = new Set(plans.flatMap(({ bond }) => bond.ports))
  const made = plans.map(({ bond }): SetupPort => {
    const members = ports.filter(({ name }) => bond.ports.includes(name))
    const speeds = members.flatMap(({ speedMbits }) => speedMbits ?? [])
    return {
      ...{ name: bond.name, kind: 'bond', mac: members[0]?.mac ?? '', members: [...bond.ports] },
      up: members.some(({ up }) => up),
      speedMbits: speeds.length === 0 ? null : Math.max(...speeds),
      mtu: members[0]?.mtu ?? 0,
      addresses: [...bond.addresses],
    }
  })
  const others = ports.filter(({ name }) => !made.some((bond) => bond.name === name))
  return [...made, ...others.map((port) => (taken.has(port.name) ? { ...port, addresses: [] } : port))]
}

export interface BondSteps {
  readonly steps: readonly SetupStep[]
  /** As they were made: what the agent makes again. */
  readonly made: readonly Bond[]
}

/** `peers`: who must be reached afterwards, if they are now. */
export function bondSteps(wanted: readonly WantedBond[], peers: readonly string[]): BondSteps {
  const made: Bond[] = []
  const atOtherEnd = [...peers, ...sessionPeer()]
  const steps = wanted.map((each): SetupStep => ({
    text: `make the bond ${each.name} of ${each.ports.join(' and ')} (${each.mode}); it is taken back unless who answers now answers again within ${PROOF_MS / 1000} s`,
    run: async () => {
      const done = await make(each, atOtherEnd)
      if (!done.ok) return done
      made.push(done.value)
      return ok()
    },
  }))
  return { steps, made }
}

async function make(wanted: WantedBond, peers: readonly string[]): Promise<Result<Bond>> {
  const plan = await planOn(ownNetwork, bondOf(wanted))
  if (!plan.ok) return plan
  // The session may break off for a moment, or for good: what was begun is ended either way.
  const stay = () => {}
  process.on('SIGHUP', stay)
  try {
    const done = await makeBond(ownNetwork, plan.value, { peers, withinMs: PROOF_MS, clock: realClock })
    return done.ok ? ok(plan.value.bond) : done
  } finally {
    process.off('SIGHUP', stay)
  }
}

/** The client of this session: `ADDRESS PORT ADDRESS PORT`. */
function sessionPeer(): readonly string[] {
  const [client = ''] = (process.env['SSH_CONNECTION'] ?? '').split(' ')
  return client === '' ? [] : [client]
}
