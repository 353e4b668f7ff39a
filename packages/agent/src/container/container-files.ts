/** Files that the host writes into a container's root before its init runs. What lies in the root is the container's: hostile. */
import { spawn } from 'node:child_process'
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
export function writeInEtc(nativeDir: string, rootPath: string, name: string, content: string): Promise<Result<void>> {
  return new Promise((resolve) => {
    const child = spawn(join(nativeDir, 'stead-container'), ['write', rootPath, name], {
      stdio: ['pipe', 'ignore', 'pipe'],
      timeout: WRITE_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    })
    let complaint = ''
    child.stderr.on('data', (piece: Buffer) => (complaint += piece.toString()))
    child.once('error', (cause) =>
      resolve(fail(failure('internal', 'Cannot run stead-container', { cause, hint: 'Run ./dev setup' }))),
    )
    child.once('close', (code) => {
      if (code === 0) return resolve(ok())
      resolve(
        fail(
          failure('conflict', `Cannot write /etc/${name} of the container: ${complaint.trim() || 'it took too long'}`, {
            hint: 'Its /etc must be a folder, no link; mount its volume on this host to look',
          }),
        ),
      )
    })
    // It may end without reading: that is told by its exit.
    child.stdin.on('error', () => undefined)
    child.stdin.end(content)
  })
}
