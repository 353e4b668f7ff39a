/** Taking a replica from those who may write to it no more. */
import { ok, type Result } from '@stead/core/result.ts'
import type { VolumeExport, VolumeNode } from './volume-node.ts'

/** Hard-deletes every export of an older epoch. Returns their names. Under the volume's lock. */
export async function revokeBelow(node: VolumeNode, epoch: number): Promise<Result<string[]>> {
  const isBelow = (each: VolumeExport) => each.epoch !== undefined && each.epoch < epoch
  // A guest may be standing still for it, so what is known to be there is not looked for first.
  const [known, present] = await Promise.all([node.deleteExports(node.given().filter(isBelow)), node.exports()])
  if (!known.ok) return known
  if (!present.ok) return present
  const rest = present.value.filter((each) => isBelow(each) && !known.value.includes(each.name))
  const others = await node.deleteExports(rest)
  return others.ok ? ok([...known.value, ...others.value]) : others
}
