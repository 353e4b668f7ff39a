/**
 * What can be done to a simulated cluster, one command a line: `@1200 power-off h1`. A schedule of faults, a scenario's
 * folder and the simulator's own story are all written in it.
 */
import { failure } from '@stead/core/errors.ts'
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** An argument whose name ends in `*` may be repeated or left out. */
export const COMMANDS = {
  // Power and whole hosts.
  'power-off': { args: ['host'], does: 'the host loses its power; what its disks had not flushed may be lost' },
  'power-on': { args: ['host'], does: 'the host boots' },
  freeze: { args: ['host'], does: 'everything on the host stands still; packets wait in its sockets' },
  thaw: { args: ['host'], does: 'a frozen host goes on' },
  // Networks. Without a role: all of them.
  cut: { args: ['host', 'role*'], does: "the host's cables are pulled" },
  'cut-out': { args: ['host', 'role*'], does: 'nothing that the host sends arrives' },
  'cut-in': { args: ['host', 'role*'], does: 'nothing arrives at the host' },
  'cut-between': { args: ['host', 'host', 'role*'], does: 'two hosts do not reach each other' },
  'cut-one-way': { args: ['host', 'host', 'role*'], does: 'what the first sends does not reach the second' },
  'cut-network': { args: ['role'], does: 'a whole network is down: its switch has failed' },
  impair: {
    args: ['host', 'role', 'number', 'number', 'number'],
    does: "the host's link delays packets by so many ms, loses and doubles that share of them (0 to 1)",
  },
  mend: { args: ['host'], does: 'all cables and links of the host are in order' },
  // Processes.
  'kill-agent': { args: ['host'], does: 'the agent dies and is started again' },
  'pause-agent': { args: ['host'], does: 'the agent stands still, guardian and guests go on' },
  'resume-agent': { args: ['host'], does: 'a paused agent goes on' },
  'kill-guardian': { args: ['host'], does: 'the guardian dies and is started again' },
  'pause-guardian': { args: ['host'], does: 'the guardian stands still' },
  'resume-guardian': { args: ['host'], does: 'a paused guardian goes on' },
  'kill-deadman': { args: ['host'], does: "the deadman dies, and with it the host's guests" },
  'kill-guests': { args: ['host'], does: 'all guests of the host crash' },
  'kill-guest': { args: ['guest'], does: 'the guest crashes' },
  // The store.
  'kill-member': { args: ['host'], does: "the host's etcd member dies and is started again" },
  'lose-answer': { args: [], does: 'the answer to the next transaction is lost; it is committed all the same' },
  'compact-store': { args: [], does: 'the store forgets its history: watches that are behind begin anew' },
  'delay-watch': { args: ['host', 'number'], does: 'the host learns of changes so many ms late' },
  // Storage.
  'kill-daemon': { args: ['host'], does: 'the storage daemon dies and is started again' },
  'pause-daemon': { args: ['host'], does: 'the storage daemon stands still; requests wait in its sockets' },
  'resume-daemon': { args: ['host'], does: 'a paused storage daemon goes on, with what had waited' },
  'disk-fails': { args: ['host'], does: "each request to the host's disks ends with an error" },
  'disk-hangs': { args: ['host'], does: "requests to the host's disks are not answered" },
  'disk-full': { args: ['host'], does: "no new replica fits on the host's disks" },
  'mend-disk': { args: ['host'], does: "the host's disks work" },
  // Clocks.
  drift: { args: ['host', 'number'], does: "the host's clock runs fast by so many ppm (negative: slow)" },
  'set-wall': { args: ['host', 'number'], does: "the host's wall clock jumps by so many ms" },
  // What users do.
  create: { args: ['guest', 'host', 'host*'], does: "a guest is created, with its disk's replicas on these hosts" },
  start: { args: ['guest'], does: 'the guest is to run' },
  stop: { args: ['guest', 'number*'], does: 'the guest is to be stopped; after so many ms by force' },
  'force-stop': { args: ['guest'], does: 'the guest is switched off' },
  delete: { args: ['guest'], does: 'the guest and its disks are removed' },
  drain: { args: ['host'], does: 'the host goes into maintenance: its guests move away' },
  undrain: { args: ['host'], does: 'the host takes guests again' },
  move: { args: ['guest', 'host'], does: 'the guest is to run there' },
  'move-live': { args: ['guest', 'host'], does: 'the guest is to move there without a break' },
  'move-post-copy': {
    args: ['guest', 'host'],
    does: 'the guest is to move there without a break, and may go on before all of its memory is there',
  },
  'cancel-move': { args: ['guest'], does: 'its move is called off' },
  'move-replica': {
    args: ['guest', 'host', 'host'],
    does: "its disk's replica on the first host is to be on the second instead; on the same: in its other pool",
  },
  'add-replica': { args: ['guest', 'host'], does: 'its disk gets one replica more, there' },
  'remove-replica': { args: ['guest', 'host'], does: "its disk's replica there is to go" },
  'cancel-replica-move': { args: ['guest'], does: 'the replica that is being made for it goes away again' },
  resize: { args: ['guest', 'number'], does: 'its disk is to have so many blocks of the model more' },
  ha: { args: ['guest', 'mode'], does: 'what HA keeps true of the guest: started, stopped or ignored' },
  'set-rule': {
    args: ['rule', 'kind', 'word*'],
    does: 'as `web-apart apart strict g1 g2`, `site hosts h1:2,h2 g1`, `no ban h3 g1`, `boot order g1 g2`',
  },
  'delete-rule': { args: ['rule'], does: 'the rule is gone' },
  policy: {
    args: ['setting', 'word'],
    does: "one of the cluster's settings, as `shutdown freeze`, `balancing.mode off`",
  },
  shutdown: { args: ['host', 'how'], does: 'the host is to be shut down in order: power-off or reboot' },
  // Guests themselves.
  'start-fails': {
    args: ['guest', 'where', 'number*'],
    does: 'its starts on this host (or `any`) fail: the next so many, or all from now on',
  },
  'dump-fails': {
    args: ['guest', 'number*'],
    does: 'of a container: CRIU cannot write down its processes in its next live move, or its next so many',
  },
  'restore-fails': {
    args: ['guest', 'number*'],
    does: 'of a container: CRIU does not restore its processes where its next live move takes it, or its next so many',
  },
  deaf: { args: ['guest'], does: 'it does not hear that it is to shut down' },
  probe: { args: ['guest'], does: 'it has a probe, and is restarted when that fails' },
  unready: { args: ['guest'], does: 'its probe fails' },
  'ready-again': { args: ['guest'], does: 'its probe succeeds again' },
  // Everything at once.
  heal: { args: [], does: 'all that was broken is mended, all that was off is on; maintenance ends' },
} as const satisfies Record<string, { readonly args: readonly string[]; readonly does: string }>

export type CommandVerb = keyof typeof COMMANDS

export interface FaultCommand {
  /** The world's time, ms since its start. */
  readonly atMs: number
  readonly verb: CommandVerb
  readonly args: readonly string[]
}

export function printCommand({ atMs, verb, args }: FaultCommand): string {
  return [`@${atMs}`, verb, ...args].join(' ')
}

/** Empty lines and lines that begin with `#` are left out. A failure names the line. */
export function parseCommands(text: string): Result<readonly FaultCommand[]> {
  const commands: FaultCommand[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.trim().split(/\s+/)
    if (words[0] === '' || words[0]?.startsWith('#')) continue
    const command = parseWords(words)
    if (typeof command === 'string') return fail(failure('bad_request', `Line ${index + 1}: ${command}`))
    commands.push(command)
  }
  return ok(commands)
}

/** The command, or what is wrong with it. */
function parseWords([at = '', verb = '', ...args]: readonly string[]): FaultCommand | string {
  if (!/^@\d+(\.\d+)?$/.test(at)) return `it begins with the time in ms, as @1200, not with ${at}`
  if (!isVerb(verb)) return `there is no command ${verb}; there are ${Object.keys(COMMANDS).join(', ')}`
  const { args: expected }: { readonly args: readonly string[] } = COMMANDS[verb]
  const repeats = expected.at(-1)?.endsWith('*') === true
  const required = expected.filter((name) => !name.endsWith('*')).length
  if (args.length < required || (!repeats && args.length > expected.length))
    return `${verb} takes ${expected.join(' ') || 'nothing'}, not ${args.join(' ') || 'nothing'}`
  for (const [index, arg] of args.entries()) {
    const kind = (expected[index] ?? expected.at(-1) ?? '').replace('*', '')
    if (kind === 'number' && !Number.isFinite(Number(arg))) return `${arg} is not a number`
    if (kind === 'role' && !(NETWORK_ROLES as readonly string[]).includes(arg))
      return `there is no network ${arg}; there are ${NETWORK_ROLES.join(', ')}`
    if ((kind === 'host' || kind === 'guest') && !/^[a-z0-9][a-z0-9-]*$/.test(arg)) return `${arg} is not a name`
  }
  return { atMs: Number(at.slice(1)), verb, args }
}

function isVerb(text: string): text is CommandVerb {
  return Object.hasOwn(COMMANDS, text)
}
