/** How each endpoint is asked: the contract without its schemas, which only the cluster's hosts need at run time. */
import type { Endpoint } from '@stead/api/endpoint.ts'
import { ALL_ENDPOINTS } from '@stead/api/endpoints.ts'

/** Its `body` says only that there is one. */
export type AskedEndpoint = Pick<Endpoint, 'method' | 'path' | 'whatIf' | 'answerWithinMs' | 'streams'> & {
  readonly body?: true
}

/** The build of the package puts the table itself in place of this call. */
export function endpointTable(): Readonly<Record<string, AskedEndpoint>> {
  return Object.fromEntries(
    ALL_ENDPOINTS.map(({ id, method, path, whatIf, answerWithinMs, streams, body }) => [
      id,
      {
        ...{ method, path },
        ...(whatIf === undefined ? {} : { whatIf }),
        ...(answerWithinMs === undefined ? {} : { answerWithinMs }),
        ...(streams === undefined ? {} : { streams }),
        ...(body === undefined ? {} : { body: true as const }),
      },
    ]),
  )
}
