/** An archive into a folder: decompressed, judged and unpacked at the same time, in the scratch namespace. */
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { failure, FailureError } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { hostFailure } from './root-file-system.ts'
import type { ScratchNamespace } from './scratch-namespace.ts'
import { judgedTar, type TarJudge } from './tar-stream.ts'

type Compression = 'none' | 'gzip' | 'xz' | 'zstd'

const TIMEOUT_MS = 20 * 60_000

const DECOMPRESSORS: Readonly<Record<Compression, readonly string[]>> = {
  none: ['cat'],
  gzip: ['gzip', '-dc'],
  // The largest dictionary that xz makes by itself (-9) needs 65 MiB.
  xz: ['xz', '-dc', '--memlimit-decompress=256MiB'],
  zstd: ['zstd', '-dcq', '--memory=256MiB'],
}

const MAGIC: readonly (readonly [Compression, string])[] = [
  ['gzip', '1f8b08'],
  ['xz', 'fd377a585a00'],
  ['zstd', '28b52ffd'],
]

/** By the first bytes; whether it is a tar is seen when it is read. */
async function compressionOf(path: string): Promise<Result<Compression>> {
  await using file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0)
  if (bytesRead === 0) return fail(failure('invalid_image', 'The archive is empty'))
  const head = buffer.toString('hex', 0, bytesRead)
  if (/^(425a68|894c5a4f)/.test(head))
    return fail(
      failure('invalid_image', 'The archive is refused: it is compressed with bzip2 or lzop', {
        hint: 'Unpack it and compress it with zstd, xz or gzip, or not at all.',
      }),
    )
  return ok(MAGIC.find(([, magic]) => head.startsWith(magic))?.[0] ?? 'none')
}

/** Judges, and unpacks into `folder` when one is given. */
export async function unpackArchive(
  scratch: ScratchNamespace,
  { path, folder, judge }: { readonly path: string; readonly folder?: string; readonly judge: TarJudge },
): Promise<Result<void>> {
  const compression = await compressionOf(path)
  if (!compression.ok) return compression
  await using file = await open(path, 'r')
  const source = await scratch.start({
    command: DECOMPRESSORS[compression.value],
    input: file.fd,
    timeoutMs: TIMEOUT_MS,
  })
  const target = await scratch.start({
    command: folder === undefined ? ['cat'] : UNPACK,
    folders: folder === undefined ? {} : { root: folder },
    input: 'pipe',
    timeoutMs: TIMEOUT_MS,
  })
  target.child.stdout.resume()
  const refused = await pipeline(
    source.child.stdout,
    (content: AsyncIterable<Buffer>) => judgedTar(content, judge),
    target.child.stdin as NodeJS.WritableStream,
  ).then(
    () => undefined,
    (cause: unknown) => cause,
  )
  // A refusal leaves both in the middle of their work; in any other case the end of one ends the other.
  if (refused instanceof FailureError) for (const { child } of [source, target]) child.kill('SIGKILL')
  const [read, written] = await Promise.all([source.ended, target.ended])
  if (refused instanceof FailureError) return fail({ ...refused.failure, cause: read.complaint })
  if (!written.ok) return fail(hostFailure('The archive could not be unpacked', written))
  if (refused === undefined && read.ok) return ok()
  const why = read.complaint || (refused instanceof Error ? refused.message : 'the program that reads it was ended')
  return fail(failure('invalid_image', `The archive is damaged: ${why.slice(0, 200)}`, { cause: refused }))
}

const UNPACK = [
  ...['tar', '-x', '-f', '-', '-C', '/root', '--numeric-owner', '--same-owner', '-p', '--delay-directory-restore'],
  ...['--acls', '--xattrs', '--xattrs-include=user.*', '--xattrs-include=security.capability'],
  ...['--warning=no-timestamp', '--warning=no-unknown-keyword'],
]
