/** Cards and volumes in Proxmox VE's container configuration: words parted by commas, of which the first may have no name. */
import { MisreadLine, type ImportRemarks, type WishedMount, type WishedNic } from './container-wish.ts'

export interface Entry {
  readonly value: string
  readonly line: number
}

const NIC_LEFT_OUT: Readonly<Record<string, string>> = {
  firewall: 'rules of the firewall stay behind; that nobody sends as somebody else is always seen to',
  tag: 'Stead has no VLANs on a card yet: give it a bridge that leads there',
  trunks: 'Stead has no VLANs on a card yet: give it a bridge that leads there',
  link_down: 'the card is connected',
  mtu: 'it has that of its bridge',
}
const MOUNT_LEFT_OUT: Readonly<Record<string, string>> = {
  acl: 'access lists are always on',
  quota: 'there are no quotas of users on a volume',
  backup: 'backups take all of a container’s volumes',
  replicate: 'how many replicas a volume has is said with --replicas',
  shared: 'Stead itself keeps a volume within reach',
  mountoptions: 'Stead decides how volumes are mounted',
}

/** `name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=192.0.2.5/24,gw=192.0.2.1,type=veth` */
export function readNic(what: string, entry: Entry, remarks: ImportRemarks): WishedNic {
  const words = readWords(what, entry)
  const { line } = entry
  const type = words.get('type') ?? 'veth'
  if (type !== 'veth') remarks.change(`${what} type`, line, `${type} becomes a veth`)
  const mac = words.get('hwaddr')
  if (mac !== undefined && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac))
    throw new MisreadLine(line, `\`${mac}\` of ${what} is no hardware address`)
  const addresses: string[] = []
  for (const key of ['ip', 'ip6']) {
    const address = words.get(key)
    if (address === undefined || address === 'manual') continue
    if (address === 'dhcp' || address === 'auto')
      remarks.change(
        `${what} ${key}`,
        line,
        `the container asks by itself; what it gets is not known here, so it is held to its MAC`,
      )
    else if (/^[0-9a-f.:]+\/\d{1,3}$/i.test(address)) addresses.push(address)
    else throw new MisreadLine(line, `\`${address}\` of ${what} is no ADDRESS/LENGTH`)
  }
  const rate = words.get('rate')
  if (rate !== undefined && !/^\d{1,6}(\.\d{1,6})?$/.test(rate))
    throw new MisreadLine(line, `rate ${rate} of ${what} is no number`)
  const [gateway, gateway6] = [words.get('gw'), words.get('gw6')]
  leaveRest(
    what,
    entry,
    words,
    ['type', 'hwaddr', 'ip', 'ip6', 'gw', 'gw6', 'rate', 'name', 'bridge'],
    NIC_LEFT_OUT,
    remarks,
  )
  remarks.take(what, line, 'a network card')
  const name = words.get('name')
  return {
    ...(name === undefined ? {} : { name }),
    ...(mac === undefined ? {} : { mac: mac.toLowerCase() }),
    bridge: words.get('bridge') ?? '',
    addresses,
    ...(gateway === undefined ? {} : { gateway }),
    ...(gateway6 === undefined ? {} : { gateway6 }),
    // Megabytes of 1024 times 1024 a second, each way.
    ...(rate === undefined ? {} : { bytesPerSecond: Math.round(Number(rate) * 2 ** 20) }),
  }
}

/** `local-lvm:vm-101-disk-0,size=8G`, `/srv/shared,mp=/mnt/shared,ro=1` */
export function readMount(what: string, entry: Entry, remarks: ImportRemarks): WishedMount {
  const words = readWords(what, entry, 'volume')
  const { line } = entry
  const source = words.get('volume') ?? ''
  const kind = source.startsWith('/') ? 'host' : 'volume'
  const path = what === 'rootfs' ? '/' : words.get('mp')
  if (path === undefined) throw new MisreadLine(line, `${what} does not say where it is mounted (mp=)`)
  const size = words.get('size')
  const sizeBytes = size === undefined ? undefined : readSize(what, { value: size, line })
  leaveRest(what, entry, words, ['volume', 'mp', 'size', 'ro'], MOUNT_LEFT_OUT, remarks)
  if (kind === 'host')
    remarks.change(what, line, 'it was a folder or device of that host: its content must be brought along, as a volume')
  else
    remarks.take(
      what,
      line,
      what === 'rootfs'
        ? 'the size of the root file system'
        : 'a volume; its content is in the archive only if backups had it',
    )
  return { path, source, kind, ...(sizeBytes === undefined ? {} : { sizeBytes }), readOnly: words.get('ro') === '1' }
}

function readWords(what: string, { value, line }: Entry, unnamed?: string): Map<string, string> {
  const words = new Map<string, string>()
  for (const [index, word] of value.split(',').entries()) {
    const at = word.indexOf('=')
    const key = at === -1 && index === 0 ? unnamed : word.slice(0, Math.max(at, 0)).trim()
    if (!key) throw new MisreadLine(line, `\`${word}\` of ${what} is no NAME=VALUE`)
    words.set(key, word.slice(at + 1).trim())
  }
  return words
}

const SIZE_FACTOR: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

/** A number alone is bytes. */
function readSize(what: string, { value, line }: Entry): number {
  const [, number, suffix = ''] = /^(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)$/i.exec(value) ?? []
  if (number === undefined) throw new MisreadLine(line, `size ${value} of ${what} is no size`)
  return Math.ceil(Number(number) * (SIZE_FACTOR[suffix.toUpperCase()] ?? 1))
}

function leaveRest(
  what: string,
  { line }: Entry,
  words: ReadonlyMap<string, string>,
  known: readonly string[],
  reasons: Readonly<Record<string, string>>,
  remarks: ImportRemarks,
): void {
  for (const [key, value] of words) {
    // What is switched off is no different here.
    if (known.includes(key) || (value === '0' && key in reasons)) continue
    remarks.leave(`${what} ${key}`, line, reasons[key] ?? 'Stead has no such setting')
  }
}
