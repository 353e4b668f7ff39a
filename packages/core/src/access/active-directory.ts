/**
 * What Active Directory has of its own: domains for base DNs, security identifiers, and accounts that are right and yet
 * kept out. Pure. [MS-ADTS] 2.4.2 and 3.1.1; docs/internals/realms.md.
 */

/** What keeps somebody from signing in there although his password is right. */
export const ACCOUNT_BARRIERS = ['disabled', 'expired', 'locked', 'password-expired', 'must-change-password'] as const
export type AccountBarrier = (typeof ACCOUNT_BARRIERS)[number]

/** `ad.example.org`: `DC=ad,DC=example,DC=org`. */
export function baseDnOfDomain(domain: string): string {
  return domain
    .split('.')
    .map((label) => `DC=${label}`)
    .join(',')
}

/** As a directory of this domain takes the name of an account: a bare one is of the domain. */
export function accountOfDomain(account: string, domain: string): string {
  return /[=@\\]/.test(account) ? account : `${account}@${domain}`
}

/** `S-1-5-21-…`; undefined: the bytes are none. */
export function securityId(bytes: Uint8Array): string | undefined {
  const [revision, count = 0] = bytes
  if (revision !== 1 || bytes.length !== 8 + 4 * count) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const authority = view.getUint16(2) * 2 ** 32 + view.getUint32(4)
  const parts = Array.from({ length: count }, (_, index) => view.getUint32(8 + 4 * index, true))
  return ['S', 1, authority, ...parts].join('-')
}

/**
 * Why a bind was refused, by the code that stands as `data 533` in its text. All but `locked` are told only to who has
 * the right password. Undefined: the password is wrong, or there is no such account.
 */
export function barrierOfRefusal(text: string): AccountBarrier | 'not-now' | undefined {
  const [, code = ''] = /\bdata ([0-9a-f]+)\b/i.exec(text) ?? []
  return REFUSALS[code.toLowerCase()]
}

const REFUSALS: Readonly<Record<string, AccountBarrier | 'not-now'>> = {
  ...{ 530: 'not-now', 531: 'not-now', 532: 'password-expired', 533: 'disabled' },
  ...{ 701: 'expired', 773: 'must-change-password', 775: 'locked' },
}

/** As the entry has them: decimal numbers, absent where the asker may not read them. */
export interface AccountEntry {
  readonly userAccountControl?: string | undefined
  /** `msDS-User-Account-Control-Computed`, which alone knows of locks and of a password's age. */
  readonly computed?: string | undefined
  readonly accountExpires?: string | undefined
  readonly pwdLastSet?: string | undefined
}

const DISABLED = 0x2
const LOCKED = 0x10
const PASSWORD_NEVER_EXPIRES = 0x1_0000
const PASSWORD_EXPIRED = 0x80_0000
/** Of 1601 before 1970, in the tenths of microseconds in which directories count. */
const EPOCH_TICKS = 116_444_736_000_000_000n
const NEVER_TICKS = 0x7fff_ffff_ffff_ffffn

export function barriersOf(entry: AccountEntry, wallMs: number): AccountBarrier[] {
  const control = Number(entry.userAccountControl ?? 0)
  const computed = Number(entry.computed ?? 0)
  const mustChange = entry.pwdLastSet === '0' && (control & PASSWORD_NEVER_EXPIRES) === 0
  const held: Record<AccountBarrier, boolean> = {
    disabled: (control & DISABLED) !== 0,
    expired: hasEnded(entry.accountExpires, wallMs),
    locked: (computed & LOCKED) !== 0,
    // One that must be changed counts there as expired.
    'password-expired': (computed & PASSWORD_EXPIRED) !== 0 && !mustChange,
    'must-change-password': mustChange,
  }
  return ACCOUNT_BARRIERS.filter((barrier) => held[barrier])
}

function hasEnded(ticks: string | undefined, wallMs: number): boolean {
  const end = /^\d{1,19}$/.test(ticks ?? '') ? BigInt(ticks ?? 0) : 0n
  if (end === 0n || end === NEVER_TICKS) return false
  return (end - EPOCH_TICKS) / 10_000n <= BigInt(Math.floor(wallMs))
}
