/**
 * What the audit tells besides changes of records, which `commitChange` tells of in their own transactions: requests that
 * change something else (a console is opened, a program is run in a guest), once they have been done.
 */
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { isRead, type Endpoint } from '@stead/api/endpoint.ts'
import { subjectProject } from '@stead/core/access/object-path.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { Result } from '@stead/core/result.ts'
import type { AuditWriter } from '../audit/audit-writer.ts'
import type { ApiBackend, BackendId, RequestContext } from '../http/backend.ts'
import type { AnyInput } from './demands.ts'

export interface AuditingContext {
  readonly mirror: ClusterMirror
  readonly audit: Pick<AuditWriter, 'tell' | 'denied'>
}

type Handler = (input: unknown, request: RequestContext) => Promise<Result<unknown>>

/** These only ask, though they are sent as a change would be; or are a part of one that is told of. */
const ONLY_ASK: ReadonlySet<string> = new Set<BackendId>([
  ...(['guest.plan', 'foresight.ask', 'blob.put'] as const),
  ...(['auth.oidc-begin', 'auth.begin-key', 'factor.begin-key', 'realm.test'] as const),
])
/** Only signing in knows who it is, and why it is refused: see `identity/sign-in-audit.ts`. */
const TELL_THEMSELVES: ReadonlySet<string> = new Set<BackendId>([
  ...(['auth.sign-in', 'auth.second-factor', 'auth.oidc-finish', 'auth.key'] as const),
])

const DENIALS: ReadonlySet<string> = new Set(['unauthorized', 'forbidden'])

export function auditedBackend(backend: ApiBackend, { mirror, audit }: AuditingContext): ApiBackend {
  const audited = Object.entries(backend).map(([id, handler]) => {
    const endpoint: Endpoint = ENDPOINTS[id as BackendId]
    if (isRead(endpoint) || ONLY_ASK.has(id) || TELL_THEMSELVES.has(id)) return [id, handler]
    return [
      id,
      async (input: unknown, request: RequestContext) => {
        const trail = { recorded: false }
        const answer = await (handler as unknown as Handler)(input, { ...request, trail })
        const subject = subjectOf(endpoint, input as AnyInput)
        // What only the endpoint could know: a present password that is not right, a role that includes too much.
        if (!answer.ok && DENIALS.has(answer.error.code) && !trail.recorded)
          audit.denied(request, { what: id, subject, message: answer.error.message })
        if (!answer.ok || trail.recorded || request.whatIf) return answer
        const project = subjectProject(mirror.state, subject)
        audit.tell(request, { kind: 'action', what: id, subject, ...(project === undefined ? {} : { project }) })
        return answer
      },
    ]
  })
  return Object.fromEntries(audited) as ApiBackend
}

/** `guest/web`, by what the request's path names. */
export function subjectOf(endpoint: Endpoint, { params = {} }: AnyInput): string {
  const [first] = Object.entries(params)
  return first === undefined ? (endpoint.id.split('.')[0] ?? '') : `${first[0]}/${first[1]}`
}
