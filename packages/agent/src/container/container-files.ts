/** Files that the host writes into a container's root before its init runs. What lies in the root is the container's: hostile. */
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import type { LxcSpec } from './lxc-spec.ts'

const WRITE_TIMEOUT_MS = 10_000

export type ContainerIdentity = Pick<LxcSpec, 'rootPath' | 'name' | 'nameservers' | 'searchDomains'>

/** Of one that runs; `init` is the host's pid of its init. */
export async function changeIdentity(
  nativeDir: string,
  init: number,
  identity: ContainerIdentity,
): Promise<Result<void>> {
  // The host's own `hostname`: nothing of the container is executed.
  const named = await runProgram('nsenter', [`--uts=/proc/${init}/ns/uts`, 'hostname', identity.name], WRITE_TIMEOUT_MS)
  return named.ok ? writeIdentity(nativeDir, identity) : named
}

/** /etc/hostname, and /etc/resolv.conf where name servers are given; without them the container's own stays. */
export async function writeIdentity(nativeDir: string, spec: ContainerIdentity): Promise<Result<void>> {
  const named = await writeInEtc(nativeDir, spec.rootPath, 'hostname', `${spec.name}\n`)
  if (!named.ok || spec.nameservers.length === 0) return named
  const search = spec.searchDomains.length > 0 ? [`search ${spec.searchDomains.join(' ')}`] : []
  const lines = [...search, ...spec.nameservers.map((server) => `nameserver ${server}`)]
  return writeInEtc(nativeDir, spec.rootPath, 'resolv.conf', `${lines.join('\n')}\n`)
}

/** Makes or replaces /etc/NAME of the root; a symbolic link of that name is replaced, and none is followed on the way. */
export async function writeInEtc(
  nativeDir: string,
  rootPath: string,
  name: string,
  input: string,
): Promise<Result<void>> {
  const helper = join(nativeDir, 'stead-container')
  const written = await runProgram(helper, ['write', rootPath, name], WRITE_TIMEOUT_MS, { input })
  if (written.ok) return ok()
  return fail(
    failure('conflict', `Cannot write /etc/${name} of the container: ${written.error.message}`, {
      hint: 'Its /etc must be a folder, no link; mount its volume on this host to look',
    }),
  )
}
