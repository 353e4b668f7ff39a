/** What another host does for guests that come to it live, over its internal server. */
import type { ArrivalHost, ArrivalRequest, Arrivals, PreparedArrival } from '@stead/core/host/arrivals.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { RestEndpoint } from '@stead/core/ports/guest-migration.ts'
import type { Result } from '@stead/core/result.ts'
import type { HostClient } from './host-client.ts'

/** It starts a hypervisor and opens disks on other hosts. */
const PREPARE_MS_MAX = 20_000

export function remoteArrivals(client: HostClient): ArrivalHost {
  return {
    prepare: async (request) =>
      (await client.callGuest('prepare-arrival', request, PREPARE_MS_MAX)) as Result<PreparedArrival>,
    carryConsole: async (guest, from, offset) =>
      (await client.callGuest('carry-console', { guest, from, offset })) as Result<number>,
    receiveRest: async (guest, epoch) =>
      (await client.callGuest('receive-rest', { guest, epoch })) as Result<RestEndpoint>,
    abandon: async (guest, epoch) => (await client.callGuest('abandon-arrival', { guest, epoch })) as Result<void>,
  }
}

export function arrivalCalls(arrivals: Arrivals) {
  return {
    'prepare-arrival': (input: unknown) => arrivals.prepare(input as ArrivalRequest),
    'carry-console': (input: unknown) => {
      const { guest, from, offset } = input as {
        readonly guest: GuestId
        readonly from: HostId
        readonly offset: number
      }
      return arrivals.carryConsole(guest, from, offset)
    },
    'receive-rest': (input: unknown) => {
      const { guest, epoch } = input as { readonly guest: GuestId; readonly epoch: number }
      return arrivals.receiveRest(guest, epoch)
    },
    'abandon-arrival': (input: unknown) => {
      const { guest, epoch } = input as { readonly guest: GuestId; readonly epoch: number }
      return arrivals.abandon(guest, epoch)
    },
  }
}
