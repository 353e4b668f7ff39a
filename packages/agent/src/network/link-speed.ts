import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** In Mbit/s. Undefined of a port that is down (reading it fails) or of a kind that has none (it says -1). */
export function linkSpeedMbits(port: string): number | undefined {
  try {
    const speed = Number(readFileSync(join('/sys/class/net', port, 'speed'), 'utf8'))
    return speed > 0 ? speed : undefined
  } catch {
    return undefined
  }
}
