/** What a simulated host has no model of: devices to give away, and cards of guests. */
import type { HostDevices } from '@stead/core/ports/host-devices.ts'
import type { NetworkHost } from '@stead/core/ports/network-host.ts'
import { ok } from '@stead/core/result.ts'

export const NO_DEVICES: HostDevices = {
  claim: async () => ok([]),
  claimCpus: async (_, count) => ok(Array.from({ length: count }, (_cpu, index) => index)),
  settle: () => undefined,
  memoryNodes: async () => [0],
}

export const NO_TAPS: NetworkHost = {
  portName: (_guest, index) => `tap${index}`,
  ensureTap: async () => ok('tap0'),
  removeTap: async () => ok(),
  limitTap: async () => ok(),
  isolate: async () => ok(),
  removeTaps: async () => ok(),
}
