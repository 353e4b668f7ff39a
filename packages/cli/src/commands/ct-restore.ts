/** `ct restore`: a container again, of a dump of Stead. */
import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import { containerDumpSchema, type ContainerDump } from '@stead/api/container-dump.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { fileHead } from '../blob-upload.ts'
import { configInArchive } from '../import/archive-config.ts'
import { makeFromArchive } from '../import/container-from-archive.ts'
import type { ContainerRequest } from '../import/container-request.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { withBackup } from './backup.ts'
import { signatureIn } from './template-import.ts'
import { addMakingOptions, choicesFrom, type MakingOptions } from './ct-making-options.ts'

export function addCtRestore(ct: Command, terminal: Terminal): void {
  const restore = ct
    .command('restore')
    .description('Make a container again of a dump, under a name of its own')
    .argument('<name>', 'a DNS label, unique in the cluster')
    .argument('[file]', 'what `ct dump` has made')
    .option('--backup <id>', 'what the cluster holds, in place of a file: see `stead backup list`')
  addMakingOptions(restore).action(
    action(terminal, async (session, [name = '', file], options) => {
      const { backup } = options
      if ((file === undefined) === (typeof backup !== 'string'))
        throw badArgument('Neither a file nor --backup is given, or both', 'Say what it is to be restored from.')
      const made = (from: string) => restored(session, name, from, options)
      if (typeof backup !== 'string') return made(file ?? '')
      return withBackup(session, await session.client(), backup, made)
    }),
  )
}

async function restored(
  session: Session,
  name: string,
  file: string,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const choices = options as MakingOptions
  const dump = await readDump(session, file)
  const client = await session.client()
  const request = restoreRequest(dump, name, choices)
  const { body } = request
  const used = await addressInUse(client, body.container.addresses ?? [])
  const isAsked = choices.address !== undefined
  if (used !== undefined && !isAsked)
    session.warn([`its addresses are left out, since ${used} has one of them; give it another with --address`])
  const container = used === undefined || isAsked ? body.container : { ...body.container, addresses: [], gateways: [] }
  session.warn(request.changed.map(({ what, text }) => `${what}: ${text}`))
  const made = await makeFromArchive(
    session,
    client,
    { file, ...dump.system, project: choices.project, ...(await signatureIn(options['signature'])) },
    { ...request, body: { ...body, container } },
  )
  const done = body.start ? 'restored and started' : 'restored'
  session.print(made, () => `ct ${name} ${done}, as ${dump.name} was at ${dump.dumpedAt}\n`)
}

async function readDump(session: Session, file: string): Promise<ContainerDump> {
  await fileHead(file)
  const config = valueOf(await configInArchive(file, session.signal))
  if (config?.by !== 'stead') {
    const hint = config
      ? '`stead ct import --dump FILE` takes those of OpenVZ and Proxmox VE.'
      : '`stead template import` takes archives of a root file system.'
    throw new FailureError(failure('invalid_image', `${file} is no dump of a container of Stead`, { hint }))
  }
  const parsed = containerDumpSchema.safeParse(parsedJson(config.text))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new FailureError(
    failure('invalid_image', `The settings in ${file} cannot be used: ${issue?.path.join('.')} ${issue?.message}`, {
      hint: 'It is damaged, or of a newer version of Stead.',
      cause: parsed.error,
    }),
  )
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What the dump says, where nothing else is said; what weakens the host's defence only where it is said again. */
function restoreRequest(dump: ContainerDump, name: string, options: MakingOptions): ContainerRequest {
  const choices = choicesFrom(options)
  const { privileged, nesting, container: said } = choices
  const [root, ...others] = dump.disks
  const [nic, ...otherNics] = dump.nics
  const changed = [
    ...(dump.privileged && !privileged ? ['it was privileged, and is so only with --privileged'] : []),
    ...(dump.nesting && !nesting ? ['it might nest, and may only with --nesting'] : []),
    ...others
      .filter(({ dumped }) => !dumped)
      .map(({ path }) => `what was mounted on ${path} is not in the dump, and the disk is empty`),
    ...(otherNics.length > 0 ? [`it had ${dump.nics.length} network cards, and has one: \`stead ct nic add\``] : []),
  ]
  const place = choices.pool === undefined ? {} : { pool: choices.pool }
  return {
    body: {
      name,
      memoryBytes: choices.memoryBytes ?? dump.memoryBytes,
      cpus: choices.cpus ?? dump.cpus,
      boot: { kind: 'container' },
      disks: [{ ...root, sizeBytes: choices.diskBytes ?? root?.sizeBytes ?? 0 }, ...others].map(
        ({ sizeBytes, dumped }, number) => ({
          ...{ sizeBytes, replicas: choices.replicas, ...place },
          ...(dumped && number > 0 ? { imageDisk: number } : {}),
        }),
      ),
      container: {
        ...(choices.root === 'native' ? { root: choices.root } : {}),
        ...(dump.hostname === undefined ? {} : { hostname: dump.hostname }),
        nameservers: dump.nameservers,
        searchDomains: dump.searchDomains,
        addresses: nic?.addresses ?? [],
        gateways: said.addresses === undefined ? (nic?.gateways ?? []) : [],
        ...said,
        limits: { ...dump.limits, ...said.limits },
        mounts: others.flatMap(({ path }) => path ?? []),
        privileged,
        nesting,
      },
      ...(choices.rootCopy ? { rootCopy: choices.rootCopy } : {}),
      nic: dump.nics.length > 0,
      start: choices.start,
      ...(choices.host === undefined ? {} : { host: choices.host }),
    },
    settings: dump.settings,
    changed: changed.map((text) => ({ what: dump.name, where: 'dump', text })),
    leftOut: [],
  }
}

/** The guest that has one of these addresses. */
async function addressInUse(client: Client, addresses: readonly string[]): Promise<string | undefined> {
  const plain = (address: string) => address.split('/')[0]!.toLowerCase()
  const wanted = new Set(addresses.map(plain))
  if (wanted.size === 0) return undefined
  const { items } = valueOf(await client.call(ENDPOINTS['guest.list'], {}))
  const found = items.find(({ nics }) =>
    nics.some((nic) => (nic.addresses ?? []).some((each) => wanted.has(plain(each)))),
  )
  return found?.name
}
