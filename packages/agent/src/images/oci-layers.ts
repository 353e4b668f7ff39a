/**
 * Images of applications (`docker save`, an OCI layout): an archive of archives, each a layer over those before it. A
 * file `.wh.NAME` in a layer takes NAME of the layers below away, `.wh..wh..opq` all that its folder had.
 *
 * https://github.com/opencontainers/image-spec/blob/main/layer.md
 */
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { failure } from '@stead/core/errors.ts'
import type { RootFacts } from '@stead/core/model/container-template.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { resolveInside, textInside } from './root-facts.ts'
import { hostFailure } from './root-file-system.ts'
import { cleanPath, type RootJudge } from './root-judge.ts'
import type { ScratchNamespace } from './scratch-namespace.ts'
import { digestOfFile } from '../blobs/file-digest.ts'
import { refusedArchive, shownName, type TarJudge } from './tar-stream.ts'
import { unpackArchive } from './unpack-archive.ts'

const JSON_BYTES_MAX = 4 * 2 ** 20
const LAYERS_MAX = 128
const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
/** What `rm` gets at a time; a command line holds 2 MiB. */
const PATHS_AT_ONCE = 256
const REMOVALS_MAX = 100_000
const REMOVE_MS_MAX = 10 * 60_000

const indexSchema = z.object({
  manifests: z.array(
    z.object({
      digest: z.string(),
      mediaType: z.string().optional(),
      platform: z.object({ architecture: z.string(), os: z.string() }).optional(),
    }),
  ),
})
const manifestSchema = z.object({
  config: z.object({ digest: z.string() }),
  layers: z.array(z.object({ digest: z.string() })).max(LAYERS_MAX),
})
/** What Docker wrote before it knew OCI, and still writes beside it. */
const dockerSchema = z.array(z.object({ Config: z.string(), Layers: z.array(z.string()).max(LAYERS_MAX) }))
const words = z.array(z.string()).nullish()
const configSchema = z.object({
  config: z
    .object({
      ...{ Entrypoint: words, Cmd: words, Env: words },
      ...{ WorkingDir: z.string().nullish(), User: z.string().nullish(), StopSignal: z.string().nullish() },
    })
    .nullish(),
})

export interface OciImage {
  /** Paths in the unpacked archive, the lowest first. */
  readonly layers: readonly string[]
  readonly init: readonly string[]
  readonly haltSignal: string
  readonly process: NonNullable<RootFacts['process']>
}

export async function isOciArchive(folder: string): Promise<boolean> {
  const found = await Promise.all(['/index.json', '/manifest.json'].map((path) => resolveInside(folder, path)))
  return found.some((path) => path !== undefined)
}

export async function readOciImage(folder: string): Promise<Result<OciImage>> {
  const docker = await document(folder, '/manifest.json', dockerSchema)
  const paths = docker.ok ? onlyOne(docker.value) : await ociPaths(folder)
  if (!paths.ok) return paths
  const { Config, Layers } = paths.value
  const config = await document(folder, `/${Config}`, configSchema)
  if (!config.ok) return config
  const { Entrypoint, Cmd, Env, WorkingDir, User, StopSignal } = config.value.config ?? {}
  return ok({
    layers: Layers,
    init: [...(Entrypoint ?? []), ...(Cmd ?? [])],
    haltSignal: StopSignal && /^SIG[A-Z0-9+-]+$/.test(StopSignal) ? StopSignal : 'SIGTERM',
    process: {
      environment: Env ?? [],
      ...(WorkingDir ? { folder: WorkingDir } : {}),
      ...(User ? { user: User } : {}),
    },
  })
}

/** All layers into `root`, from the lowest. */
export async function applyLayers(
  scratch: ScratchNamespace,
  folder: string,
  layers: readonly string[],
  root: string,
  judge: RootJudge,
): Promise<Result<void>> {
  for (const layer of layers) {
    const path = await resolveInside(folder, `/${layer}`)
    if (path === undefined) return fail(refusal(`its layer ${layer} is not in it`))
    const named = /(?:^|\/)sha256\/([0-9a-f]{64})$/.exec(layer)?.[1]
    if (named !== undefined && (await digestOfFile(path)) !== `sha256:${named}`)
      return fail(refusal(`its layer ${layer} is damaged`))
    const applied = await applyLayer(scratch, path, root, judge)
    if (!applied.ok) return applied
  }
  return ok()
}

/** Read twice: what a layer takes away is of the layers below, wherever in its archive that is written. */
async function applyLayer(
  scratch: ScratchNamespace,
  path: string,
  root: string,
  judge: RootJudge,
): Promise<Result<void>> {
  const gone: string[] = []
  const emptied: string[] = []
  const look: TarJudge = (entry) => {
    const member = cleanPath(entry.name, entry.name)
    const [name, above] = [basename(member), dirname(member)]
    if (name === OPAQUE) emptied.push(above)
    else if (name.startsWith(WHITEOUT)) gone.push(join(above, whatIsGone(name)))
    // What was a folder below and is none any more.
    else if (entry.type !== 'folder' && judge.kindOf(member) === 'folder') gone.push(member)
    if (gone.length + emptied.length > REMOVALS_MAX) throw refusedArchive('a layer takes too many files away')
    return 'leave-out'
  }
  const looked = await unpackArchive(scratch, { path, judge: look })
  if (!looked.ok) return looked
  // In the namespace, whose root is all that a path can lead to.
  const contents = [
    'sh',
    '-c',
    'for d; do [ -L "$d" ] || [ ! -d "$d" ] || find "$d" -mindepth 1 -delete || exit; done',
    'sh',
  ]
  for (const [command, paths] of [
    [['rm', '-rf', '--'], gone],
    [contents, emptied],
  ] as const) {
    for (let at = 0; at < paths.length; at += PATHS_AT_ONCE) {
      const some = paths.slice(at, at + PATHS_AT_ONCE).map((each) => bytesOf(join('/root', each)))
      const removed = await scratch.run({
        command: [...command, ...some],
        folders: { root },
        timeoutMs: REMOVE_MS_MAX,
      })
      if (!removed.ok) return fail(hostFailure('A layer could not be applied', removed))
    }
  }
  judge.forget(new Set(gone), new Set(emptied))
  return unpackArchive(scratch, {
    path,
    folder: root,
    judge: (entry) =>
      basename(cleanPath(entry.name, entry.name)).startsWith(WHITEOUT) ? 'leave-out' : judge.judge(entry),
  })
}

function whatIsGone(whiteout: string): string {
  const name = whiteout.slice(WHITEOUT.length)
  if (name === '' || name === '.' || name === '..') throw refusedArchive(`${shownName(whiteout)} takes no file away`)
  return name
}

async function ociPaths(folder: string): Promise<Result<{ Config: string; Layers: string[] }>> {
  let at = '/index.json'
  // An index may lead to a further one, of the same image for several processors.
  for (let depth = 0; depth < 3; depth++) {
    const index = await document(folder, at, indexSchema)
    if (!index.ok) return depth === 0 ? index : await ociManifest(folder, at)
    const images = index.value.manifests.filter(({ platform }) => platform?.os !== 'unknown')
    const one = onlyOne(
      images.length > 1 ? images.filter(({ platform }) => platform?.architecture === 'amd64') : images,
    )
    if (!one.ok) return one
    const path = blobPath(one.value.digest)
    if (!path.ok) return path
    at = `/${path.value}`
  }
  return fail(refusal('its index leads nowhere'))
}

async function ociManifest(folder: string, at: string): Promise<Result<{ Config: string; Layers: string[] }>> {
  const manifest = await document(folder, at, manifestSchema)
  if (!manifest.ok) return manifest
  const config = blobPath(manifest.value.config.digest)
  if (!config.ok) return config
  const layers: string[] = []
  for (const { digest } of manifest.value.layers) {
    const path = blobPath(digest)
    if (!path.ok) return path
    layers.push(path.value)
  }
  return ok({ Config: config.value, Layers: layers })
}

function blobPath(digest: string): Result<string> {
  return /^sha256:[0-9a-f]{64}$/.test(digest)
    ? ok(`blobs/${digest.replace(':', '/')}`)
    : fail(refusal('it names a layer by a digest that is no SHA-256'))
}

function onlyOne<T>(found: readonly T[]): Result<T> {
  const [first] = found
  if (first !== undefined && found.length === 1) return ok(first)
  return fail(
    failure('invalid_image', `The archive is refused: it holds ${found.length} images, and one is due`, {
      hint: 'Save one image alone: `docker save NAME:TAG -o FILE`.',
    }),
  )
}

async function document<T>(folder: string, path: string, schema: z.ZodType<T>): Promise<Result<T>> {
  const text = await textInside(folder, path, JSON_BYTES_MAX)
  try {
    const parsed = schema.safeParse(JSON.parse(text ?? ''))
    if (parsed.success) return ok(parsed.data)
    return fail({ ...refusal(`its ${path.slice(1, 80)} is not as it should be`), cause: parsed.error })
  } catch (cause) {
    return fail({ ...refusal(`its ${path.slice(1, 80)} is missing or no JSON`), cause })
  }
}

/** Names are bytes, kept as latin1. */
function bytesOf(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8')
}

function refusal(why: string) {
  return failure('invalid_image', `The archive is refused: ${why}`)
}
