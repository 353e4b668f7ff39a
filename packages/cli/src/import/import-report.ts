/** What an import prints: the file, and for people what became of the rest. */
import type { ClusterFile } from '@stead/core/model/cluster-file.ts'
import type { LeftOut } from './imported.ts'

/** One host, guest and rule a line, so that files can be compared line by line. Ends with a line break. */
export function clusterFileText(file: ClusterFile): string {
  const fields = Object.entries(file).map(([name, value]) => {
    const isList = Array.isArray(value) && value.length > 0
    const lines = isList
      ? `[\n${value.map((entry) => `    ${JSON.stringify(entry)}`).join(',\n')}\n  ]`
      : JSON.stringify(value)
    return `  ${JSON.stringify(name)}: ${lines}`
  })
  return `{\n${fields.join(',\n')}\n}\n`
}

/** Without a line break at the end. */
export function leftOutText({ hosts, guests, rules }: ClusterFile, leftOut: readonly LeftOut[]): string {
  const counts = `${hosts.length} hosts, ${guests.length} guests and ${rules.length} rules were imported`
  if (leftOut.length === 0) return `${counts}; nothing was left out.`
  const lines = leftOut.map(({ what, where, why }) => `  ${printable(what)} (${printable(where)}): ${printable(why)}`)
  return [`${counts}. Without a counterpart, or assumed:`, ...lines].join('\n')
}

/** Names come from somebody else's file: they must not write to the terminal what they like. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
}
