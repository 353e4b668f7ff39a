/**
 * What each endpoint takes and answers. Here they follow from the contract's schemas; in the package that is installed
 * elsewhere a file of the same name stands in place of this one, made by `api/client-types.ts`.
 */
import type { CallInput, ItemOf, ResponseOf } from '@stead/api/endpoint.ts'
import type { EndpointId, EndpointOf } from '@stead/api/endpoints.ts'

export type Endpoints = {
  readonly [Id in EndpointId]: {
    readonly input: CallInput<EndpointOf<Id>>
    readonly answer: ResponseOf<EndpointOf<Id>>
    readonly event: ItemOf<EndpointOf<Id>>
  }
}
