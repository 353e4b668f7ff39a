/** `--bond lan0=eno1+eno2,mode=802.3ad`: a bond as one word. */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** As the answers have it; what is wrong with the values is said where they are read. */
export interface BondFlag {
  readonly name: string
  readonly ports: readonly string[]
  readonly mode?: string
  readonly miimonMs?: number
  readonly lacpRate?: string
  readonly hashPolicy?: string
  readonly addresses?: readonly string[]
}

const EXAMPLE =
  'Such as lan0=eno1+eno2,mode=802.3ad; further words: miimon=100, lacp-rate=fast, hash=layer3+4, address=192.0.2.1/24'

export function readBond(text: string): Result<BondFlag> {
  const [head = '', ...words] = text.split(',')
  const [, name, ports] = /^([^=]+)=(.+)$/.exec(head) ?? []
  if (name === undefined || ports === undefined) return wrong(text, 'is no bond')
  const bond: { -readonly [Key in keyof BondFlag]: BondFlag[Key] } = { name, ports: ports.split('+') }
  for (const word of words) {
    const [, key = '', value = ''] = /^([^=]+)=(.+)$/.exec(word) ?? []
    switch (key) {
      case 'mode':
        bond.mode = value
        break
      case 'miimon':
        bond.miimonMs = Number(value)
        break
      case 'lacp-rate':
        bond.lacpRate = value
        break
      case 'hash':
        bond.hashPolicy = value
        break
      case 'address':
        bond.addresses = [...(bond.addresses ?? []), value]
        break
      default:
        return wrong(text, `says '${word}', which is nothing of a bond`)
    }
  }
  return ok(bond)
}

/** Of the bond that is to have this name: its own address, or what `addressOf` says of one of its ports. */
export function addressOfBond(
  bonds: readonly BondFlag[],
  name: string,
  addressOf: (port: string) => string | undefined,
): string | undefined {
  const bond = bonds.find((each) => each.name === name)
  const [own] = bond?.addresses ?? []
  if (own !== undefined) return own.split('/')[0]
  return bond?.ports.map(addressOf).find((address) => address !== undefined)
}

function wrong(text: string, what: string): Result<never> {
  return fail(failure('bad_request', `'${text}' ${what}`, { hint: EXAMPLE }))
}
