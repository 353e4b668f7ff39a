/** Finds out what the files of another product are, and makes a cluster file of them. */
import { readFile, stat } from 'node:fs/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Imported } from './imported.ts'
import { importPacemakerCib } from './pacemaker-cib.ts'
import { importProxmoxHa, type ProxmoxFile } from './proxmox-ha.ts'

/** The status of 100 hosts and 10,000 guests takes 15 MB. */
const FILE_BYTES_MAX = 256 * 2 ** 20

/** One Pacemaker CIB, or files of /etc/pve/ha with `sizes`. Fails with `bad_request`, naming the file. */
export async function importFiles(paths: readonly string[], sizes?: string): Promise<Result<Imported>> {
  const files: ProxmoxFile[] = []
  for (const path of paths) {
    const text = await readText(path)
    if (!text.ok) return text
    files.push({ path, text: text.value })
  }
  const sizesText = sizes === undefined ? undefined : await readText(sizes)
  if (sizesText?.ok === false) return sizesText
  const cib = files.find(({ text }) => /^\uFEFF?\s*</.test(text))
  if (cib === undefined) return importProxmoxHa(files, sizesText?.value)
  const hint = 'Import one CIB by itself; it holds its sizes as utilization'
  if (files.length > 1 || sizes !== undefined)
    return fail(failure('bad_request', `${cib.path} is XML, and other files were given with it`, { hint }))
  const imported = importPacemakerCib(cib.text)
  return imported.ok ? imported : fail({ ...imported.error, message: `${cib.path}: ${imported.error.message}` })
}

async function readText(path: string): Promise<Result<string>> {
  const refuse = (why: string, hint: string, cause?: unknown) =>
    fail<string>(failure('bad_request', `${path} ${why}`, { hint, cause }))
  try {
    const { size } = await stat(path)
    if (size > FILE_BYTES_MAX) return refuse('has more than 256 MiB', 'Is it the right file?')
    const bytes = await readFile(path)
    if (bytes.subarray(0, 3).toString('latin1') === 'BZh') return refuse('is compressed', 'Unpack it with bunzip2')
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) return refuse('is compressed', 'Unpack it with gunzip')
    return ok(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
      return refuse('is no text in UTF-8', 'Is it the right file?', cause)
    return refuse(code === 'ENOENT' ? 'does not exist' : `can not be read: ${message}`, 'Check the path', cause)
  }
}
