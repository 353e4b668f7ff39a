/** The cluster as a whole and its hosts. */
import { failure } from '@stead/core/errors.ts'
import type { Host } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'
import { cancelShutdownChange, maintenanceChange, setChange, shutdownChange } from './host-changes.ts'
import { readRuleBook } from './rule-plan.ts'
import { clusterView } from './cluster-view.ts'
import { guestView, hostView } from './views.ts'

type Answers = Pick<
  ApiBackend,
  | 'cluster.show'
  | 'cluster.failover'
  | 'cluster.recover'
  | 'host.list'
  | 'host.show'
  | 'host.set'
  | 'host.drain'
  | 'host.undrain'
  | 'host.shutdown'
  | 'host.cancel-shutdown'
  | 'host.invite'
  | 'host.remove'
  | 'host.cut-power'
  | 'host.restore-power'
  | 'authority.show'
  | 'authority.replace'
>

export function hostEndpoints(desk: Desk): Answers {
  return {
    'cluster.show': async () =>
      desk.loaded((state) => {
        const view = desk.view()
        const hosts = [...state.hosts.values()].map((host) => hostView(view, host))
        const guests = [...state.guests.values()].map((guest) => guestView(view, guest))
        return ok(clusterView(view, desk.context.self, hosts, guests, desk.context.clock.wallMs()))
      }),

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

    'cluster.recover': async ({ body }, { principal, visitor }) => {
      // Whoever decides this has been at the machines.
      if (principal.kind !== 'root' || visitor.address !== 'local') return fail(NOT_HERE)
      return desk.context.loneHost.recover(body)
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
    'host.set': async ({ params, body }, request) => {
      const operation = await desk.change(request, async () => {
        const book = await readRuleBook(desk.context.store)
        if (!book.ok) return book
        const host = desk.findHost(params.host)
        return host.ok ? setChange(desk.state, host.value.value, body, book.value) : host
      })
      if (!operation.ok) return operation
      await desk.started(operation.value)
      const host = desk.findHost(params.host)
      return host.ok ? ok(hostView(desk.view(), host.value)) : host
    },
    'host.drain': async ({ params, body }, request) => {
      const change = await desk.changeAdmitted(request, body.acceptBreach, () =>
        withGuestHost(desk, params.host, (host) => maintenanceChange(desk.state, host, true)),
      )
      if (!change.ok) return change
      return ok({ ...(await desk.started(change.value.operation)), warnings: change.value.warnings })
    },
    'host.undrain': async ({ params }, request) => {
      const operation = await desk.change(request, () =>
        withGuestHost(desk, params.host, (host) => maintenanceChange(desk.state, host, false)),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'host.shutdown': async ({ params, body }, request) => {
      const change = await desk.changeAdmitted(request, body.acceptBreach, () =>
        withGuestHost(desk, params.host, (host) => shutdownChange(desk.state, host, body.how)),
      )
      if (!change.ok) return change
      return ok({ ...(await desk.started(change.value.operation)), warnings: change.value.warnings })
    },
    'host.invite': async ({ body }) => {
      const invited = await desk.context.admission.invite(body.role, body.minutes)
      if (!invited.ok) return invited
      const { token, expiresAtMs } = invited.value
      return ok({ token, role: body.role, expiresAt: new Date(expiresAtMs).toISOString() })
    },
    'host.remove': async ({ params }) => desk.context.admission.remove(params.host as HostId),
    'host.cut-power': async ({ params }, request) => {
      const operation = await desk.change(request, () => powerChange(desk, params.host, 'cut'))
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'host.restore-power': async ({ params }, request) => {
      const operation = await desk.change(request, () => powerChange(desk, params.host, 'restore'))
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'authority.show': async () => desk.loaded(() => desk.context.authority.show()),
    'authority.replace': async () => {
      const loaded = desk.loaded(() => ok())
      return loaded.ok ? desk.context.authority.begin() : loaded
    },
    'host.cancel-shutdown': async ({ params }, request) => {
      const operation = await desk.change(request, () =>
        withGuestHost(desk, params.host, (host) => cancelShutdownChange(desk.state, host)),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
  }
}

const NOT_HERE = failure('forbidden', 'This is done as root of the host that is left, and nowhere else', {
  hint: 'Run `stead cluster recover` on that host itself',
})

function withGuestHost(desk: Desk, name: string, make: (host: Host) => Result<Change>): Result<Change> {
  const host = desk.findHost(name)
  if (!host.ok) return host
  if (host.value.value.role === 'witness')
    return fail(
      failure('conflict', `${name} is a witness and runs no guests`, { hint: 'There is nothing to move off it' }),
    )
  return make(host.value.value)
}

/** docs/internals/power.md */
function powerChange(desk: Desk, name: string, what: 'cut' | 'restore'): Result<Change> {
  const found = desk.findHost(name)
  if (!found.ok) return found
  const { id: host, powerSwitch } = found.value.value
  const { power } = desk.context
  if (!powerSwitch || !power)
    return fail(
      failure('not_found', `Nothing that the cluster reaches switches the power of ${host}`, {
        hint: 'Only hosts of a lab have such a device; `stead host shutdown` prepares a host for being switched off',
      }),
    )
  const subject = `host/${host}`
  const records = { subject, compares: [], writes: [] }
  if (what === 'restore')
    return ok({
      ...{ ...records, kind: 'host.restore-power', order: () => power.restore(host) },
      events: [{ kind: 'host.power-restored', subject, message: `an administrator put the plug of ${host} in again` }],
    })
  return ok({
    ...{ ...records, kind: 'host.cut-power', order: () => power.cut(host) },
    supposition: { kind: 'host-down', hosts: [host] },
    events: [{ kind: 'host.power-cut', subject, message: `an administrator pulled the plug of ${host}` }],
  })
}
