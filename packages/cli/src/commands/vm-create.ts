import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { CallInput, ResponseOf } from '@stead/api/endpoint.ts'
import { describeIssues } from '@stead/api/issues.ts'
import type { Placement } from '@stead/api/views.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { checkKernel, digestOf, uploadBlob } from '../blob-upload.ts'
import { formatFields, formatTable } from '../output.ts'
import { badArgument, formatSize, parseCount, parseSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { settle } from '../waiting.ts'
import { decisionText, printExplanation } from './explain.ts'
import { ACCEPT_BREACH } from './host.ts'
import { parseDisplay } from './vm-console.ts'
import { addMediaOptions, mediaOf, type MediaOptions } from './vm-media.ts'
import { addPlatformOptions, platformFrom } from './vm-platform.ts'
import { addMaximumOptions, maximaFrom } from './vm-size.ts'
import { parseHa } from './guest.ts'

interface CreateOptions extends MediaOptions {
  readonly memory?: string
  readonly cpus?: string
  readonly disk?: readonly string[]
  readonly replicas: string
  readonly pool?: string
  readonly host?: string
  readonly project?: string
  readonly kernel?: string
  readonly initrd?: string
  readonly append?: string
  readonly image?: string
  readonly linked?: boolean
  readonly ha?: string
  readonly processor?: string
  readonly start?: boolean
  readonly acceptBreach?: boolean
  readonly nic: boolean
  readonly display?: string
  readonly dryRun?: boolean
}

type CreateBody = CallInput<(typeof ENDPOINTS)['guest.create']>['body']

export function addVmCreate(vm: Command, terminal: Terminal): void {
  const create = vm
    .command('create')
    .description(ENDPOINTS['guest.create'].summary)
    .argument('<name>', 'a DNS label, unique in the cluster')
    .option('--memory <size>', 'memory: 128MiB, 1GiB; as the machine had of which the image was made, when absent')
    .option('--cpus <n>', 'virtual processors; as that machine had, or 1, when absent')
    .option('--disk <size>', 'size of a disk; may be repeated', (text: string, before: string[] | undefined) => [
      ...(before ?? []),
      text,
    ])
    .option('--replicas <n>', 'copies of each disk on different hosts: 1, 2 or 3', '2')
    .option('--pool <name>', 'pool of the disks on each host')
    .option('--host <host>', 'where it should run')
    .option('--project <name>', 'whose it is to be; of the project default when absent')
    .option('--kernel <file>', 'Linux kernel to boot directly')
    .option('--initrd <file>', 'initial RAM disk, with --kernel')
    .option('--append <text>', 'kernel command line, with --kernel')
    .option('--image <name>', 'image that fills the first disk (without --disk: all its disks, as large as they are)')
    .option('--linked', "share the image's blocks instead of copying them")
    .option('--ha <mode>', 'started, stopped or ignored: what the cluster keeps true')
    .option('--start', 'start it once its disks exist')
    .option(...ACCEPT_BREACH)
    .option('--no-nic', 'no network card')
    .option('--display <kind>', 'vga (a screen, seen by VNC) or none (the serial console only)')
    .option(
      '--processor <kind>',
      'baseline (what all hosts can, so that it moves live anywhere) or host (all that its host can)',
    )
    .option('--dry-run', 'only say where it would be placed')
  addPlatformOptions(addMediaOptions(addMaximumOptions(create))).action(
    action(terminal, (session, [name = ''], options) =>
      createGuest(session, name, options as unknown as CreateOptions),
    ),
  )
}

async function createGuest(session: Session, name: string, options: CreateOptions): Promise<void> {
  // Everything that can be wrong in the arguments is said before the first byte is sent.
  const media = await mediaOf(options)
  const draft = { ...bodyOf(name, options, await imageOf(session, options)), ...(media ? { media } : {}) }
  checkDraft(draft)
  if (options.kernel !== undefined) await checkKernel(options.kernel)
  const client = await session.client()
  const body = { ...draft, boot: await bootOf(session, client, options) }
  if (options.dryRun) {
    const placement = valueOf(await client.call(ENDPOINTS['guest.plan'], { body }))
    session.warn(placement.warnings)
    session.print(placement, () => placementText(name, placement, session.explain))
    return
  }
  const answer = valueOf(await client.call(ENDPOINTS['guest.create'], { body }))
  session.warn(answer.warnings)
  const operation = await settle(session, client, answer.operation)
  const began = operation.state !== 'succeeded'
  const text = began
    ? `begun, see \`stead operation show ${operation.id}\``
    : body.start
      ? 'created and started'
      : 'created'
  session.print({ guest: answer.guest, warnings: answer.warnings, operation }, () => `vm ${name} ${text}\n`)
  if (session.explain) await printExplanation(session, client, name)
}

/** The image, where it says what the options do not. */
async function imageOf(session: Session, { image, disk, memory }: CreateOptions): Promise<Image | undefined> {
  if (image === undefined || (disk !== undefined && memory !== undefined)) return undefined
  const { items } = valueOf(await (await session.client()).call(ENDPOINTS['image.list']))
  const found = items.find(({ name }) => name === image)
  if (!found)
    throw new FailureError(failure('not_found', `There is no image ${image}`, { hint: 'See `stead image list`' }))
  return found
}

type Image = ResponseOf<(typeof ENDPOINTS)['image.list']>['items'][number]

/** Of an image that no disk was named for: its own disks, as large as they are. */
function sizesOf(found: Image | undefined): readonly number[] {
  return found ? [found, ...(found.moreDisks ?? [])].map(({ virtualSizeBytes }) => virtualSizeBytes) : []
}

function memoryOf({ memory }: CreateOptions, found: Image | undefined): number {
  const bytes = memory === undefined ? found?.hardware?.memoryBytes : parseSize(memory, '--memory')
  if (bytes !== undefined) return bytes
  throw badArgument(
    'It is not said how much memory the guest has',
    found ? `Give --memory: the image ${found.name} does not tell.` : 'Give --memory: 512MiB, 2GiB.',
  )
}

function bodyOf(name: string, options: CreateOptions, found: Image | undefined): Omit<CreateBody, 'boot'> {
  const { image, kernel } = options
  const imageSizes = options.disk === undefined ? sizesOf(found) : []
  const disk = options.disk?.map((size) => parseSize(size, '--disk')) ?? imageSizes.map(wholeMebibytes)
  const fromImage = imageSizes.length === 0 ? 1 : imageSizes.length
  if (kernel === undefined && (options.initrd !== undefined || options.append !== undefined)) {
    throw badArgument('--initrd and --append need --kernel')
  }
  if (kernel !== undefined && image !== undefined) throw badArgument('--kernel and --image exclude each other')
  if (options.linked && image === undefined) throw badArgument('--linked needs --image')
  if (kernel === undefined && disk.length === 0 && options.cdrom === undefined)
    throw badArgument('The guest has nothing to boot from', 'Give --kernel, --cdrom, or --disk with --image.')
  const replicas = parseCount(options.replicas, '--replicas')
  if (replicas !== 1 && replicas !== 2 && replicas !== 3) throw badArgument(`--replicas: ${replicas} is not 1, 2 or 3`)
  return {
    name,
    ...(options.project === undefined ? {} : { project: options.project }),
    memoryBytes: memoryOf(options, found),
    cpus: options.cpus === undefined ? (found?.hardware?.cpus ?? 1) : parseCount(options.cpus, '--cpus'),
    ...maximaFrom({ ...options }),
    disks: disk.map((sizeBytes, index) => ({
      sizeBytes,
      replicas,
      ...(options.pool === undefined ? {} : { pool: options.pool }),
      ...(index < fromImage && image !== undefined
        ? { image, imageDisk: index, ...(options.linked ? { linked: true } : {}) }
        : {}),
    })),
    start: options.start === true,
    nic: options.nic,
    ...(options.acceptBreach ? { acceptBreach: true } : {}),
    ...(options.display === undefined ? {} : { display: parseDisplay(options.display) }),
    ...platformFrom({ ...options }),
    ...(options.host === undefined ? {} : { host: options.host }),
    ...(options.ha === undefined ? {} : { ha: parseHa(options.ha) }),
    ...(options.processor === undefined ? {} : { processor: parseProcessor(options.processor) }),
  }
}

function parseProcessor(text: string): 'baseline' | 'host' {
  if (text === 'baseline' || text === 'host') return text
  throw badArgument(`--processor: \`${text}\` is no kind of processor`, 'Write baseline or host.')
}

/** Disks have whole blocks; an image need not. */
function wholeMebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20) * 2 ** 20
}

/** By the contract that the server checks as well, so that a wrong name does not cost an upload. */
function checkDraft(draft: Omit<CreateBody, 'boot'>): void {
  const schema = ENDPOINTS['guest.create'].body
  const checked = schema.safeParse({ ...draft, boot: { kind: 'disk' } })
  if (!checked.success)
    throw badArgument(`The guest cannot be like this: ${describeIssues(checked.error.issues, schema).message}`)
}

async function bootOf(session: Session, client: Client, options: CreateOptions): Promise<CreateBody['boot']> {
  const { kernel, initrd, append = '' } = options
  if (kernel === undefined) return { kind: 'disk' }
  // A dry run sends no file: the digest is enough for the plan.
  const place = (path: string) => (options.dryRun ? digestOf(path) : uploadBlob(session, client, path))
  return {
    kind: 'kernel',
    kernel: await place(kernel),
    ...(initrd === undefined ? {} : { initrd: await place(initrd) }),
    append,
  }
}

function placementText(name: string, placement: Placement, explain: boolean): string {
  const fields = formatFields([
    ['name', name],
    ['host', placement.host],
  ])
  const volumes = formatTable(placement.volumes, [
    { title: 'VOLUME', of: (volume) => volume.name },
    { title: 'SIZE', of: (volume) => formatSize(volume.sizeBytes) },
    {
      title: 'REPLICAS',
      of: (volume) => volume.replicas.map((replica) => `${replica.host}/${replica.pool}`).join(', '),
    },
  ])
  return `${fields}\n${volumes}${explain ? `\n${decisionText(placement.decision)}` : ''}`
}
