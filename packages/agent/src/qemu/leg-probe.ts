/**
 * Does an NBD server answer? The kernel accepts connections for a stopped server, so only the greeting counts.
 * QEMU's own open of a hung server blocks its main loop, therefore every open is preceded by this probe.
 */
import { connect, type Socket } from 'node:net'
import { failure } from '@stead/core/errors.ts'
import type { GuestDisk, Leg } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** First bytes of every NBD server (proto.md, "Fixed newstyle negotiation"). */
const GREETING = Buffer.from('NBDMAGIC')

/** Fails with `host_unreachable` when no greeting came within `timeoutMs`, or at once when the server refuses. */
export function probeNbdServer(endpoint: Leg['endpoint'], timeoutMs = 1_000): Promise<Result<void>> {
  return new Promise((resolve) => {
    const socket: Socket =
      endpoint.kind === 'unix' ? connect(endpoint.path) : connect({ host: endpoint.address, port: endpoint.port })
    let received = Buffer.alloc(0)
    const finish = (cause?: unknown) => {
      clearTimeout(timer)
      socket.destroy()
      if (cause === undefined) resolve(ok())
      else
        resolve(fail(failure('host_unreachable', `No storage server answers at ${endpointText(endpoint)}`, { cause })))
    }
    const timer = setTimeout(() => finish(new Error(`no greeting within ${timeoutMs} ms`)), timeoutMs)
    socket.on('error', finish)
    socket.on('close', () => finish(new Error('closed before the greeting')))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < GREETING.length) return
      finish(received.subarray(0, GREETING.length).equals(GREETING) ? undefined : new Error('not an NBD server'))
    })
  })
}

export function endpointText(endpoint: Leg['endpoint']): string {
  return endpoint.kind === 'unix' ? endpoint.path : `${endpoint.address}:${endpoint.port}`
}

/** Every leg's server must answer before QEMU is started: a hung one would hang the whole start. */
export async function checkLegs(disks: readonly GuestDisk[], timeoutMs?: number): Promise<Result<void>> {
  for (const disk of disks) {
    if (disk.legs.length === 0 || disk.legs.length > disk.width) {
      return fail(
        failure('bad_request', `Volume ${disk.volume} has ${disk.legs.length} legs for ${disk.width} replicas`),
      )
    }
  }
  const legs = disks.flatMap((disk) => disk.legs).filter(({ folder }) => folder === undefined)
  const probes = await Promise.all(legs.map((leg) => probeNbdServer(leg.endpoint, timeoutMs)))
  for (const [index, probe] of probes.entries()) {
    if (!probe.ok)
      return fail(
        failure('host_unreachable', `The replica on ${legs[index]?.host} does not answer`, { cause: probe.error }),
      )
  }
  return ok()
}
