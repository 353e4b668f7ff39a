/** The cluster as a whole and its hosts. */
import { failure } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { ApiBackend, RequestContext } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { clusterView, hostView } from './views.ts'

type Answers = Pick<
  ApiBackend,
  'cluster.show' | 'cluster.failover' | 'host.list' | 'host.show' | 'host.drain' | 'host.undrain'
>

export function hostEndpoints(desk: Desk): Answers {
  const setMaintenance = (name: string, maintenance: boolean, request: RequestContext) =>
    desk.change(request, () => {
      const host = desk.findHost(name)
      if (!host.ok) return host
      const { value } = host.value
      if (value.role === 'witness')
        return fail(
          failure('conflict', `${name} is a witness and runs no guests`, { hint: 'There is nothing to drain' }),
        )
      const known = desk.state.policies.get(value.id)
      return ok({
        kind: maintenance ? 'host.drain' : 'host.undrain',
        subject: `host/${name}`,
        compares: [{ key: KEYS.policy(value.id), modRevision: known?.revision ?? 0n }],
        writes: [{ kind: 'put', key: KEYS.policy(value.id), value: JSON.stringify({ ...known?.value, maintenance }) }],
        events: [
          {
            kind: 'host.maintenance',
            subject: `host/${name}`,
            message: maintenance ? `${name} is being drained` : `${name} may run guests again`,
          },
        ],
      })
    })

  return {
    'cluster.show': async () => desk.loaded(() => ok(clusterView(desk.view(), desk.context.self))),

    'cluster.failover': async ({ body }, request) => {
      const host = body.confirmDead as HostId
      const confirmed = await desk.context.confirmDead(host)
      if (!confirmed.ok) return confirmed
      const operation = await desk.change(request, () =>
        ok({
          kind: 'cluster.failover',
          subject: `host/${host}`,
          compares: [],
          writes: [],
          events: [
            {
              kind: 'host.confirmed-dead',
              subject: `host/${host}`,
              message: `an administrator confirms that ${host} is dead`,
            },
          ],
        }),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },

    'host.list': async () =>
      desk.loaded((state) =>
        ok({
          items: [...state.hosts.values()]
            .toSorted((a, b) => a.value.order - b.value.order)
            .map((host) => hostView(desk.view(), host)),
        }),
      ),
    'host.show': async ({ params }) => {
      const host = desk.findHost(params.host)
      return host.ok ? ok(hostView(desk.view(), host.value)) : host
    },
    'host.drain': async ({ params }, request) => {
      const operation = await setMaintenance(params.host, true, request)
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'host.undrain': async ({ params }, request) => {
      const operation = await setMaintenance(params.host, false, request)
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
  }
}
