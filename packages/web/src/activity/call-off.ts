/** How what an operation does is called off; the agents decide, and a guest that is being made is called off by deleting it. */
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { OperationView } from '@stead/api/views.ts'
import type { Result } from '@stead/core/result.ts'

type CallOff = (client: Client) => Promise<Result<unknown>>

/** Undefined: it cannot be, or has ended. */
export function callOffOf(operation: Pick<OperationView, 'kind' | 'subject' | 'state'>): CallOff | undefined {
  if (operation.state !== 'running' && operation.state !== 'waiting') return undefined
  const [, id = ''] = operation.subject.split('/')
  switch (operation.kind) {
    case 'vm.migrate':
      return (client) => client.call(ENDPOINTS['guest.cancel-migration'], { params: { guest: id } })
    case 'vm.template':
      return (client) => client.call(ENDPOINTS['guest.cancel-copy'], { params: { guest: id } })
    case 'volume.move':
      return (client) => client.call(ENDPOINTS['volume.cancel-move'], { params: { volume: id } })
    case 'volume.capture':
      return (client) => client.call(ENDPOINTS['volume.cancel-capture'], { params: { volume: id } })
    case 'image.import':
      return (client) => client.call(ENDPOINTS['image.cancel-import'], { params: { image: id } })
    default:
      return undefined
  }
}
