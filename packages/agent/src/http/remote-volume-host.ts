/** The port `VolumeHost` of another host, over its internal server. Behaves as the local one does. */
import { failure } from '@stead/core/errors.ts'
import type { CopyProgress, CopyRequest, VolumeHost } from '@stead/core/ports/volume-host.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { withoutSilence } from '@stead/api/client.ts'
import type { HostClient } from './host-client.ts'
import { COPY_SILENCE_MS, type CopyLine, type VolumeMethod } from './internal-protocol.ts'

/** Calls that move or write much data take longer than a question. */
const LONG_CALLS_MS: Readonly<Partial<Record<VolumeMethod, number>>> = {
  createReplica: 300_000,
  digests: 15_000,
  dirtyRanges: 10_000,
  flush: 20_000,
  prepareSnapshot: 30_000,
  rollBackReplica: 60_000,
}

type Arguments<Method extends VolumeMethod> = Parameters<VolumeHost[Method]>

export class RemoteVolumeHost implements VolumeHost {
  readonly #client: HostClient
  readonly #timeoutMs: number | undefined

  /** `timeoutMs` bounds each quick call; default 3000. */
  constructor(client: HostClient, timeoutMs?: number) {
    this.#client = client
    this.#timeoutMs = timeoutMs
  }

  /** The same host with another bound for quick calls, ms. */
  withTimeout(timeoutMs: number): RemoteVolumeHost {
    return new RemoteVolumeHost(this.#client, timeoutMs)
  }

  createReplica(...args: Arguments<'createReplica'>) {
    return this.#call('createReplica', args)
  }
  removeReplica(...args: Arguments<'removeReplica'>) {
    return this.#call('removeReplica', args)
  }
  reserveReplica(...args: Arguments<'reserveReplica'>) {
    return this.#call('reserveReplica', args)
  }

  exportToGuest(...args: Arguments<'exportToGuest'>) {
    return this.#call('exportToGuest', args)
  }
  serveAnew(...args: Arguments<'serveAnew'>) {
    return this.#call('serveAnew', args)
  }
  exportAsTarget(...args: Arguments<'exportAsTarget'>) {
    return this.#call('exportAsTarget', args)
  }
  revokeBelow(...args: Arguments<'revokeBelow'>) {
    return this.#call('revokeBelow', args)
  }
  revokeExport(...args: Arguments<'revokeExport'>) {
    return this.#call('revokeExport', args)
  }
  inspect(...args: Arguments<'inspect'>) {
    return this.#call('inspect', args)
  }
  dirtyBytes(...args: Arguments<'dirtyBytes'>) {
    return this.#call('dirtyBytes', args)
  }
  addBitmap(...args: Arguments<'addBitmap'>) {
    return this.#call('addBitmap', args)
  }
  removeBitmap(...args: Arguments<'removeBitmap'>) {
    return this.#call('removeBitmap', args)
  }
  dirtyRanges(...args: Arguments<'dirtyRanges'>) {
    return this.#call('dirtyRanges', args)
  }
  flush(...args: Arguments<'flush'>) {
    return this.#call('flush', args)
  }
  digests(...args: Arguments<'digests'>) {
    return this.#call('digests', args)
  }
  prepareSnapshot(...args: Arguments<'prepareSnapshot'>) {
    return this.#call('prepareSnapshot', args)
  }
  cutSnapshot(...args: Arguments<'cutSnapshot'>) {
    return this.#call('cutSnapshot', args)
  }
  sealSnapshot(...args: Arguments<'sealSnapshot'>) {
    return this.#call('sealSnapshot', args)
  }
  releaseSnapshot(...args: Arguments<'releaseSnapshot'>) {
    return this.#call('releaseSnapshot', args)
  }
  mergeLayers(...args: Arguments<'mergeLayers'>) {
    return this.#call('mergeLayers', args)
  }
  rollBackReplica(...args: Arguments<'rollBackReplica'>) {
    return this.#call('rollBackReplica', args)
  }
  heldSnapshots(...args: Arguments<'heldSnapshots'>) {
    return this.#call('heldSnapshots', args)
  }

  /** Takes as long as it takes, but not longer than 5 s without a sign of life of the source host. */
  async copy(
    request: CopyRequest,
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<CopyProgress>> {
    const over = new AbortController()
    const onAbort = () => over.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    const late = setTimeout(() => over.abort(new Error('no answer')), COPY_SILENCE_MS)
    try {
      const opened = await this.#client.open('POST', '/internal/volume/copy', [request], over.signal)
      clearTimeout(late)
      if (!opened.ok) return signal.aborted ? aborted(signal.reason) : opened
      for await (const line of lines(withoutSilence(opened.value, COPY_SILENCE_MS))) {
        const content = JSON.parse(line) as CopyLine | Result<CopyProgress>
        if ('progress' in content) onProgress(content.progress)
        else if ('result' in content) return content.result
        // Refused before it began: a plain result.
        else if ('ok' in content) return content
      }
      return this.#broken(new Error('the answer ended without a result'))
    } catch (error) {
      return signal.aborted ? aborted(signal.reason) : this.#broken(error)
    } finally {
      clearTimeout(late)
      signal.removeEventListener('abort', onAbort)
      // Ends the connection, by which the source host learns that nobody waits any more.
      over.abort()
    }
  }

  #broken(cause: unknown): Result<never> {
    const text = cause instanceof Error ? cause.message : String(cause)
    return fail(failure('host_unreachable', `The host ${this.#client.host} broke off the copy: ${text}`, { cause }))
  }

  #call<Method extends VolumeMethod>(method: Method, args: Arguments<Method>): ReturnType<VolumeHost[Method]> {
    const last = args.findLastIndex((value) => value !== undefined)
    const timeoutMs = LONG_CALLS_MS[method] ?? this.#timeoutMs
    const answer = this.#client.post(`/internal/volume/${method}`, args.slice(0, last + 1), timeoutMs)
    // The other end implements the same port; its answer has that method's type.
    return answer as unknown as ReturnType<VolumeHost[Method]>
  }
}

function aborted(cause: unknown): Result<never> {
  return fail(failure('conflict', 'The copy was stopped', { cause }))
}

async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let pending = ''
  for await (const chunk of body) {
    pending += decoder.decode(chunk, { stream: true })
    const complete = pending.split('\n')
    pending = complete.pop() ?? ''
    for (const line of complete) if (line !== '') yield line
  }
}
