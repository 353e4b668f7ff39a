import type { HostView } from '@stead/api/views.ts'

export function poolTotals({ pools }: Pick<HostView, 'pools'>): {
  readonly capacityBytes: number
  readonly allocatedBytes: number
} {
  return {
    capacityBytes: pools.reduce((sum, pool) => sum + pool.capacityBytes, 0),
    allocatedBytes: pools.reduce((sum, pool) => sum + pool.allocatedBytes, 0),
  }
}
