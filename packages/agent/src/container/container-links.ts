/** A container's network as the kernel has it, seen from the host. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const run = promisify(execFile)
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
  try {
    // The host's own `ip`: nothing of the container is executed.
    const { stdout } = await run('nsenter', [`--net=/proc/${init}/ns/net`, 'ip', '-json', 'address'], {
      timeout: TIMEOUT_MS,
    })
    const links = JSON.parse(stdout) as readonly IpLink[]
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
  } catch (cause) {
    return fail(
      failure('hypervisor', 'The addresses of the container cannot be read', {
        cause,
        hint: 'It may have ended just now',
      }),
    )
  }
}

/** The host's end of an earlier run's pair: the kernel removes it some time after the last process of its namespace. */
export async function removeLink(hostEnd: string): Promise<Result<void>> {
  if (!existsSync(`/sys/class/net/${hostEnd}`)) return ok()
  try {
    await run('ip', ['link', 'delete', hostEnd], { timeout: TIMEOUT_MS })
  } catch (cause) {
    if (existsSync(`/sys/class/net/${hostEnd}`)) {
      return fail(failure('conflict', `The network card ${hostEnd} of an earlier run cannot be removed`, { cause }))
    }
  }
  return ok()
}
