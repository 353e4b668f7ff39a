import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { CallInput } from '@stead/api/endpoint.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { badArgument, parseCount, parseSize } from '../quantities.ts'
import { settle } from '../waiting.ts'
import { addContainerOptions, containerFrom, repeated, presetOf, type ContainerOptions } from './ct-options.ts'
import { printExplanation } from './explain.ts'
import { parseHa } from './guest.ts'
import { addCopyOptions, copyFrom, NATIVE_ROOT, replicasFrom, type RootOptions } from './ct-root.ts'
import { ACCEPT_BREACH } from './host.ts'

interface CreateOptions extends ContainerOptions, RootOptions {
  readonly template: string
  readonly memory?: string
  readonly disk?: string
  readonly mount?: readonly string[]
  readonly cpus: string
  readonly pool?: string
  readonly host?: string
  readonly project?: string
  readonly ha?: string
  readonly nic: boolean
  readonly privileged?: boolean
  readonly nesting?: boolean
  readonly start?: boolean
  readonly acceptBreach?: boolean
}

type CreateBody = CallInput<(typeof ENDPOINTS)['guest.create']>['body']

export function addCtCreate(ct: Command, terminal: Terminal): void {
  const create = ct
    .command('create')
    .description('Create a container from a template')
    .argument('<name>', 'a DNS label, unique in the cluster')
    .requiredOption('--template <name>', 'what its root is made from; see `stead template list`')
    .option('--memory <size>', 'memory: 64MiB, 1GiB; as the preset says when absent')
    .option('--disk <size>', 'size of its root: 128MiB, 10GiB; as the preset says when absent')
    .option('--mount <size:path>', 'another disk and where it is mounted, 10GiB:/srv; may be repeated', repeated)
    .option('--cpus <n>', 'processors that it may use', '1')
    .option('--replicas <n>', 'copies of each disk on different hosts: 1, 2 or 3; 2 when absent')
    .option(...NATIVE_ROOT)
    .option('--pool <name>', 'pool of the disks on each host')
    .option('--host <host>', 'where it should run')
    .option('--project <name>', 'whose it is to be; of the project default when absent')
    .option('--ha <mode>', 'started, stopped or ignored: what the cluster keeps true')
    .option('--no-nic', 'no network card')
    .option('--nesting', 'it may make containers itself; weakens what keeps it in')
    .option('--privileged', "its root is the host's root: only for those whom you trust like the host itself")
    .option('--start', 'start it once its disks exist')
    .option(...ACCEPT_BREACH)
  addContainerOptions(addCopyOptions(create)).action(
    action(terminal, (session, [name = ''], options) =>
      createContainer(session, bodyOf(name, options as unknown as CreateOptions)),
    ),
  )
}

async function createContainer(session: Session, body: CreateBody): Promise<void> {
  const client = await session.client()
  if (body.container?.privileged)
    session.warn([`${body.name} is privileged: whoever is root in it can become root of the host`])
  if (body.container?.nesting)
    session.warn([`${body.name} may nest: it sees more of the kernel, which weakens what keeps it in`])
  const answer = valueOf(await client.call(ENDPOINTS['guest.create'], { body }))
  session.warn(answer.warnings)
  const operation = await settle(session, client, answer.operation)
  const began = operation.state !== 'succeeded'
  const done = body.start ? 'created and started' : 'created'
  const text = began ? `begun, see \`stead operation show ${operation.id}\`` : done
  session.print({ guest: answer.guest, warnings: answer.warnings, operation }, () => `ct ${body.name} ${text}\n`)
  if (session.explain) await printExplanation(session, client, body.name)
}

function bodyOf(name: string, options: CreateOptions): CreateBody {
  const replicas = replicasFrom(options)
  const preset = options.preset === undefined ? undefined : presetOf(options.preset)
  const mounts = (options.mount ?? []).map(parseMount)
  const rootCopy = copyFrom(options)
  const place = { replicas, ...(options.pool === undefined ? {} : { pool: options.pool }) } as const
  return {
    name,
    ...(options.project === undefined ? {} : { project: options.project }),
    memoryBytes: sizeOf('--memory', options.memory, preset?.memoryBytes),
    cpus: parseCount(options.cpus, '--cpus'),
    boot: { kind: 'container' },
    disks: [sizeOf('--disk', options.disk, preset?.diskBytes), ...mounts.map(({ sizeBytes }) => sizeBytes)].map(
      (sizeBytes) => ({
        sizeBytes,
        ...place,
      }),
    ),
    container: {
      template: options.template,
      ...(options.nativeRoot ? { root: 'native' as const } : {}),
      mounts: mounts.map(({ path }) => path),
      privileged: options.privileged === true,
      nesting: options.nesting === true,
      ...containerFrom(options),
    },
    ...(rootCopy ? { rootCopy } : {}),
    nic: options.nic,
    start: options.start === true,
    ...(options.acceptBreach ? { acceptBreach: true } : {}),
    ...(options.host === undefined ? {} : { host: options.host }),
    ...(options.ha === undefined ? {} : { ha: parseHa(options.ha) }),
  }
}

function sizeOf(option: string, text: string | undefined, ofPreset: number | undefined): number {
  if (text !== undefined) return parseSize(text, option)
  if (ofPreset !== undefined) return ofPreset
  throw badArgument(`${option} is missing`, `Give ${option} 256MiB, or a --preset that says it.`)
}

function parseMount(text: string): { readonly sizeBytes: number; readonly path: string } {
  const [size = '', path = ''] = text.split(/:(.*)/s)
  if (!path.startsWith('/')) throw badArgument(`--mount: \`${text}\` has no path`, 'Write SIZE:/PATH, as 10GiB:/srv.')
  return { sizeBytes: parseSize(size, '--mount'), path }
}
