/** A guest's console from whichever host has it; a followed one goes along when the guest moves. */
import { failure } from '@stead/core/errors.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { readConsole } from '../console-log.ts'
import type { Peers } from '../peers.ts'

export interface ConsoleRequest {
  readonly guest: Guest
  /** Bytes of the present boot's console to skip. */
  readonly offset: number
  readonly follow: boolean
}

/** Fails with `conflict` when the guest has never run. */
export async function openConsole(
  context: HostContext,
  peers: Peers,
  request: ConsoleRequest,
  signal: AbortSignal,
): Promise<Result<AsyncIterable<Uint8Array>>> {
  const { guest, follow } = request
  const host = hostOf(context, guest)
  if (host === undefined) {
    const hint = `Start it with \`stead vm start ${guest.name}\``
    return fail(failure('conflict', `${guest.name} has not run yet`, { hint }))
  }
  if (follow) return ok(followConsole(context, peers, request, signal))
  return openOn(context, peers, host, request, signal)
}

async function openOn(
  context: HostContext,
  peers: Peers,
  host: HostId,
  { guest, offset, follow }: ConsoleRequest,
  signal: AbortSignal,
): Promise<Result<AsyncIterable<Uint8Array>>> {
  if (host === context.self) return ok(readConsole(context.guests.consoleLogPath(guest.id), offset, follow, signal))
  return peers.client(host).stream('console', { guest: guest.id, offset, follow }, signal)
}

/** Ends only by the signal, or by an error when the guest's host breaks off: the client then asks again. */
async function* followConsole(
  context: HostContext,
  peers: Peers,
  request: ConsoleRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let { offset } = request
  while (!signal.aborted) {
    const host = hostOf(context, request.guest)
    if (host === undefined) return
    const moved = new AbortController()
    const off = context.mirror.onChange(() => {
      if (hostOf(context, request.guest) !== host) moved.abort(new Error('the guest has moved'))
    })
    try {
      const opened = await openOn(context, peers, host, { ...request, offset }, AbortSignal.any([signal, moved.signal]))
      if (!opened.ok) throw new Error(opened.error.message, { cause: opened.error })
      yield* opened.value
      if (!moved.signal.aborted) return
    } catch (error) {
      if (!moved.signal.aborted) throw error
    } finally {
      off()
    }
    // The new host's console begins with the new boot.
    offset = 0
  }
}

function hostOf({ mirror }: HostContext, guest: Guest): HostId | undefined {
  return mirror.state.grants.get(guest.id)?.value.host
}
