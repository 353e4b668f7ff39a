/** The agent's answer to each endpoint of the API; the work is in the files beside this one, by noun. */
import type { ApiBackend } from '../http/backend.ts'
import { Desk, type BackendContext } from './desk.ts'
import { guestEndpoints } from './guest-endpoints.ts'
import { historyEndpoints } from './history-endpoints.ts'
import { hostEndpoints } from './host-endpoints.ts'
import { storageEndpoints } from './storage-endpoints.ts'

export function createApiBackend(context: BackendContext): ApiBackend {
  const desk = new Desk(context)
  return {
    ...hostEndpoints(desk),
    ...guestEndpoints(desk),
    ...storageEndpoints(desk),
    ...historyEndpoints(desk),
  }
}
