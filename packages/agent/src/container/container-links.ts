/** A container's network as the kernel has it, seen from the host. */
import { existsSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'

const TIMEOUT_MS = 5_000

export interface ContainerAddress {
  readonly interface: string
  readonly mac: string
  /** With prefix length. */
  readonly address: string
}

interface IpLink {
  readonly ifname: string
  readonly address?: string
  readonly flags: readonly string[]
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[]
}

/** Without those of the loopback and of the link. `init` is the host's pid of the container's init. */
export async function addressesOf(init: number): Promise<Result<readonly ContainerAddress[]>> {
  // The host's own `ip`: nothing of the container is executed.
  const shown = await runProgram('nsenter', [`--net=/proc/${init}/ns/net`, 'ip', '-json', 'address'], TIMEOUT_MS)
  if (!shown.ok)
    return fail(
      failure('hypervisor', 'The addresses of the container cannot be read', {
        cause: shown.error,
        hint: 'It may have ended just now',
      }),
    )
  const links = JSON.parse(shown.value.output) as readonly IpLink[]
  return ok(
    links
      .filter(({ flags }) => !flags.includes('LOOPBACK'))
      .flatMap((link) =>
        link.addr_info
          .filter(({ scope }) => scope !== 'link')
          .map(({ local, prefixlen }) => ({
            interface: link.ifname,
            mac: link.address ?? '',
            address: `${local}/${prefixlen}`,
          })),
      ),
  )
}

/** The host's end of an earlier run's pair: the kernel removes it some time after the last process of its namespace. */
export async function removeLink(hostEnd: string): Promise<Result<void>> {
  const isThere = () => existsSync(`/sys/class/net/${hostEnd}`)
  if (!isThere()) return ok()
  const removed = await runProgram('ip', ['link', 'delete', hostEnd], TIMEOUT_MS)
  if (removed.ok || !isThere()) return ok()
  return fail(
    failure('conflict', `The network card ${hostEnd} of an earlier run cannot be removed`, { cause: removed.error }),
  )
}
