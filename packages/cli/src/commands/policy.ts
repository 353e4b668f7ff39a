/** `stead policy` and `stead ha`: how the cluster decides where nobody says otherwise. */
import { Option, type Command } from 'commander'
import type { CallInput } from '@stead/api/endpoint.ts'
import { DEFAULT_MIGRATION, DEFAULT_PASSWORDS } from '@stead/core/model/cluster-policy.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { PolicyView } from '@stead/api/views.ts'
import { formatFields } from '../output.ts'
import { badArgument, formatSize, parseCount, parseDuration, parseFraction, parseSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

type PolicyBody = CallInput<(typeof ENDPOINTS)['policy.set']>['body']

export function addPolicyCommands(program: Command, terminal: Terminal): void {
  const policy = program.command('policy').description("The cluster's policy")
  policy
    .command('show')
    .description(ENDPOINTS['policy.show'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['policy.show']))
        session.print(view, () => policyText(view))
      }),
    )
  policy
    .command('set')
    .description(ENDPOINTS['policy.set'].summary)
    .option('--cpu-overcommit <ratio>', 'virtual processors that guests may take for each real one')
    .option('--memory-reserve <size>', 'memory of each host that guests may not take')
    .option('--host-failures <n>', 'hosts that may be lost at a time without a guest losing its place')
    .addOption(choice('--admission <what>', 'what becomes of a change that breaks this', ['ignore', 'warn', 'refuse']))
    .addOption(choice('--balancing <mode>', 'evening out the hosts', ['off', 'recommend', 'automatic']))
    .option('--balancing-max <score>', 'balancing begins above this score')
    .option('--balancing-goal <score>', 'and ends below this one')
    .option('--balancing-hold <duration>', 'how long the imbalance must last first: 10m')
    .option('--moves-per-hour <n>', 'moves of balancing at most')
    .addOption(
      choice('--shutdown <what>', "what becomes of a host's guests when it is shut down in order", [
        'failover',
        'freeze',
        'migrate',
        'conditional',
      ]),
    )
    .option('--migration-bandwidth <size>', 'what one live move may take in a second; 0: as much as there is')
    .option('--migration-downtime <time>', 'how long a guest may stand still at the end of a live move')
    .addOption(
      choice('--migration-post-copy <whether>', 'let a guest go on before all its memory is there when it must', [
        'true',
        'false',
      ]),
    )
    .addOption(
      choice('--migration-compression <whether>', 'compress memory on its way, for networks slower than a processor', [
        'true',
        'false',
      ]),
    )
    .addOption(
      choice('--what-if-required <whether>', 'take changes only from somebody who has seen what they will do', [
        'true',
        'false',
      ]),
    )
    .option(
      '--outbound-allow <networks>',
      'private networks to which webhooks may go: 10.1.0.0/16,fd00::/8; empty: none',
    )
    .addOption(
      choice('--template-signatures <whether>', 'whether templates must be signed by a trusted key', [
        'optional',
        'demanded',
      ]),
    )
    .option('--password-length <n>', "characters that a password of the cluster's own users has at least")
    .addOption(
      choice('--guessable-passwords <whether>', 'what becomes of those that are tried first', ['refuse', 'permit']),
    )
    .action(action(terminal, (session, _args, options) => setPolicy(session, bodyOf(options))))
  const ha = program.command('ha').description('High availability as a whole')
  for (const [verb, armed, description] of [
    ['disarm', false, 'Let nothing be recovered or moved by itself, for work on the network or the storage'],
    ['arm', true, 'Let guests be recovered and moved again'],
  ] as const)
    ha.command(verb)
      .description(description)
      .action(action(terminal, (session) => setPolicy(session, { armed })))
}

function choice(flags: string, description: string, choices: readonly string[]): Option {
  return new Option(flags, description).choices([...choices])
}

/** Only what was said. */
function bodyOf(options: Readonly<Record<string, unknown>>): PolicyBody {
  const given = <T>(name: string, field: string, parse: (text: string) => T): Record<string, T> => {
    const value = options[name]
    return typeof value === 'string' ? { [field]: parse(value) } : {}
  }
  const word = (text: string) => text
  const admission = {
    ...given('hostFailures', 'hostFailures', (text) => parseCount(text, '--host-failures')),
    ...given('admission', 'onBreach', word),
  }
  const balancing = {
    ...given('balancing', 'mode', word),
    ...given('balancingMax', 'scoreMax', (text) => parseFraction(text, '--balancing-max')),
    ...given('balancingGoal', 'scoreGoal', (text) => parseFraction(text, '--balancing-goal')),
    ...given('balancingHold', 'holdMs', (text) => parseDuration(text, '--balancing-hold')),
    ...given('movesPerHour', 'movesPerHourMax', (text) => parseCount(text, '--moves-per-hour')),
  }
  const migration = {
    ...given('migrationBandwidth', 'bandwidthBytesPerSecond', (text) => parseSize(text, '--migration-bandwidth')),
    ...given('migrationDowntime', 'downtimeMs', (text) => parseDuration(text, '--migration-downtime')),
    ...given('migrationPostCopy', 'postCopy', (text) => text === 'true'),
    ...given('migrationCompression', 'compressed', (text) => text === 'true'),
  }
  const passwords = {
    ...given('passwordLength', 'lengthMin', (text) => parseCount(text, '--password-length')),
    ...given('guessablePasswords', 'refuseGuessable', (text) => text === 'refuse'),
  }
  const body = {
    ...given('cpuOvercommit', 'cpuOvercommit', (text) => parseFraction(text, '--cpu-overcommit')),
    ...given('memoryReserve', 'memoryReserveBytes', (text) => parseSize(text, '--memory-reserve')),
    ...given('shutdown', 'shutdown', word),
    ...(Object.keys(admission).length === 0 ? {} : { admission }),
    ...(Object.keys(balancing).length === 0 ? {} : { balancing }),
    ...(Object.keys(migration).length === 0 ? {} : { migration }),
    ...(Object.keys(passwords).length === 0 ? {} : { passwords }),
    ...given('templateSignatures', 'templateSignatures', word),
    ...given('whatIfRequired', 'whatIfRequired', (text) => text === 'true'),
    ...given('outboundAllow', 'outboundAllow', (text) => text.split(',').filter((one) => one !== '')),
  }
  if (Object.keys(body).length === 0)
    throw badArgument('Nothing to set', '`stead policy set --help` lists what there is.')
  return body as PolicyBody
}

async function setPolicy(session: Session, body: PolicyBody): Promise<void> {
  const client = await session.client()
  const { warnings, ...view } = valueOf(await client.call(ENDPOINTS['policy.set'], { body }))
  session.warn(warnings)
  session.print({ ...view, warnings }, () => policyText(view))
}

function policyText(view: PolicyView): string {
  const { admission, balancing, migration = DEFAULT_MIGRATION, passwords = DEFAULT_PASSWORDS } = view
  const { bandwidthBytesPerSecond, downtimeMs, postCopy, compressed = false } = migration
  return formatFields([
    ['ha', view.armed ? 'armed' : 'disarmed: nothing is recovered or moved by itself'],
    ['cpu overcommit', view.cpuOvercommit],
    ['memory reserve', `${formatSize(view.memoryReserveBytes)} of each host`],
    ['host failures', admission.hostFailures],
    ['admission', admission.onBreach],
    ['balancing', balancing.mode],
    ['balancing begins', `above ${balancing.scoreMax}, after ${balancing.holdMs / 1000} s`],
    ['balancing ends', `below ${balancing.scoreGoal}`],
    ['moves per hour', balancing.movesPerHourMax],
    ['shutdown', view.shutdown],
    [
      'live moves take',
      bandwidthBytesPerSecond === 0 ? 'as much as there is' : `${formatSize(bandwidthBytesPerSecond)}/s`,
    ],
    ['live moves stop a guest', `for ${downtimeMs} ms at most, by forecast`],
    ['post-copy', postCopy ? 'when a copy does not converge' : 'never'],
    ['memory on its way', compressed && !postCopy ? 'compressed' : 'as it is'],
    ['template signatures', view.templateSignatures ?? 'optional'],
    ['what-if required', view.whatIfRequired ? 'yes' : 'no'],
    [
      'passwords',
      `${passwords.lengthMin} characters or more${passwords.refuseGuessable ? ', none that is tried first' : ''}`,
    ],
    ['webhooks also go to', view.outboundAllow?.join(', ') ?? ''],
  ])
}
