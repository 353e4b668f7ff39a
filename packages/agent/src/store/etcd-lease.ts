/** One keepalive of a lease. etcd offers it only as a stream, so each call opens a short one. */
import { status as grpcStatus } from '@grpc/grpc-js'
import type { Client, Metadata, ServiceError } from '@grpc/grpc-js'
import type { LeaseId } from '@stead/core/ports/store.ts'
import { fateOf, waitUntilConnected } from './endpoints.ts'
import type { CallOutcome } from './endpoints.ts'
import { LeaseService } from './generated/etcd.ts'
import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from './generated/etcd.ts'

/** The time-to-live in ms that the server now promises; 0 when the lease is gone. */
export async function keepLeaseOnce(
  client: Client,
  lease: LeaseId,
  metadata: Metadata,
  timeoutMs: number,
): Promise<CallOutcome<number>> {
  if (!(await waitUntilConnected(client, timeoutMs / 2))) {
    return { kind: 'failed', fate: 'not-executed', error: new Error('no connection'), grpcCode: grpcStatus.UNAVAILABLE }
  }
  return new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = LeaseService.leaseKeepAlive
    const call = client.makeBidiStreamRequest<LeaseKeepAliveRequest, LeaseKeepAliveResponse>(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
      { deadline: Date.now() + timeoutMs },
    )
    call.on('data', (response: LeaseKeepAliveResponse) => {
      resolve({ kind: 'answer', value: Number(response.TTL) * 1000 })
      call.cancel()
    })
    // After an answer these find the promise settled: the cancellation above ends the stream with an error.
    call.on('error', (error: ServiceError) => {
      resolve({ kind: 'failed', fate: fateOf(error), error, grpcCode: error.code })
    })
    call.on('end', () => {
      const error = new Error('the server ended the keepalive without an answer')
      resolve({ kind: 'failed', fate: 'unknown', error, grpcCode: grpcStatus.UNAVAILABLE })
    })
    call.write({ ID: lease })
  })
}
