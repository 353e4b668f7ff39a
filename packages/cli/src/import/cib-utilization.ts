/** Sizes in a CIB. Pacemaker only adds the numbers up; that they are MiB is a convention, which its own agents keep. */
import { at, type CibDocument } from './cib-document.ts'
import type { XmlElement } from './xml-tree.ts'

const MIB = 2 ** 20
/** `hv_memory`: what the agents VirtualDomain and NodeUtilization write. */
const MEMORY_NAMES = ['memory', 'hv_memory']
const CPU_NAMES = ['cpu', 'cpus', 'vcpu']

export interface CibSizes {
  readonly memoryBytes?: number
  readonly cpus?: number
}

/** Of a node, or of a primitive whose template may say it. */
export function utilizationOf(cib: CibDocument, element: XmlElement, template?: XmlElement): CibSizes {
  const pairs = new Map([...cib.pairsOf(template, 'utilization'), ...cib.pairsOf(element, 'utilization')])
  const memory = amountOf(cib, element, pairs, MEMORY_NAMES)
  const cpus = amountOf(cib, element, pairs, CPU_NAMES)
  for (const name of pairs.keys()) {
    if (!MEMORY_NAMES.includes(name) && !CPU_NAMES.includes(name))
      cib.leftOut.add(`utilization ${name}`, at(element), 'Stead counts memory and processors')
  }
  return {
    // Pacemaker takes 0, and a guest without memory takes next to none.
    ...(memory === undefined ? {} : { memoryBytes: Math.max(1, memory) * MIB }),
    ...(cpus === undefined ? {} : { cpus }),
  }
}

function amountOf(
  cib: CibDocument,
  element: XmlElement,
  pairs: ReadonlyMap<string, string>,
  names: readonly string[],
): number | undefined {
  const name = names.find((one) => pairs.has(one))
  if (name === undefined) return undefined
  const text = pairs.get(name) ?? ''
  // Longer ones could not be counted exactly.
  if (/^\d{1,15}$/.test(text)) return Number(text)
  cib.leftOut.add(`utilization ${name}`, at(element), `\`${text}\` is not a whole number from 0`)
  return undefined
}
