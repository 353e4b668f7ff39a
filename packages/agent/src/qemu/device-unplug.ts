/** Asking a guest for a device. It gives it back when its system runs and does not need it, or never. */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { QmpClient } from './qmp.ts'

/** A guest that runs gives a device back within some tens of milliseconds; one that boots does so later. */
const UNPLUG_PATIENCE_MS = 4_000

/** Ids of all devices that have one. */
export async function pluggedDevices(monitor: QmpClient): Promise<Result<ReadonlySet<string>>> {
  const listed = await monitor.execute<readonly { readonly name: string }[]>('qom-list', {
    path: '/machine/peripheral',
  })
  return listed.ok ? ok(new Set(listed.value.map((each) => each.name))) : listed
}

/** Waits some seconds; `conflict` while the guest has not given it back. Nothing to do where it is not there. */
export async function unplugDevice(monitor: QmpClient, device: string, what: string): Promise<Result<void>> {
  const before = await pluggedDevices(monitor)
  if (!before.ok) return before
  if (!before.value.has(device)) return ok()
  const answered = monitor.waitFor(
    ({ event, data }) => (event === 'DEVICE_DELETED' && data['device'] === device) || isRefusal(event, data, device),
    UNPLUG_PATIENCE_MS,
  )
  const asked = await monitor.execute('device_del', { id: device })
  if (!asked.ok && NO_SYSTEM_YET.test(asked.error.message)) return notYet(what)
  if (!asked.ok && !/in the process of unplug/.test(asked.error.message)) return asked
  const answer = await answered
  if (answer && answer.event !== 'DEVICE_DELETED')
    return fail(failure('conflict', `The guest refuses to give ${what} back`, { hint: 'See the guest’s own log' }))
  const after = await pluggedDevices(monitor)
  if (!after.ok) return after
  if (!after.value.has(device)) return ok()
  return notYet(what)
}

/** Before a guest's system has looked at its ACPI tables, QEMU cannot ask for a processor at all. */
const NO_SYSTEM_YET = /unplug request for not supported device type/

function notYet(what: string): Result<never> {
  return fail(
    failure('conflict', `The guest has not given ${what} back yet`, {
      hint: 'It does so once its system runs and does not use it; it is asked again',
    }),
  )
}

/** What ACPI says of a processor that is being given back: 3 is the ejection, 0x84 that it goes on; ACPI 6.5, 6.3.5. */
const OST_EJECTION = 3
const OST_FINE: readonly unknown[] = [0, 0x84]

function isRefusal(event: string, data: Readonly<Record<string, unknown>>, device: string): boolean {
  if (event === 'DEVICE_UNPLUG_GUEST_ERROR') return data['device'] === device
  if (event !== 'ACPI_DEVICE_OST') return false
  const { device: of, source, status } = (data['info'] ?? {}) as Readonly<Record<string, unknown>>
  return of === device && source === OST_EJECTION && !OST_FINE.includes(status)
}
