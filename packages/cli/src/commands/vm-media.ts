/** `vm cdrom` and `vm cloud-init`, and the options of `vm create` that say the same. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { CallInput } from '@stead/api/endpoint.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { settle } from '../waiting.ts'

type MediaBody = CallInput<(typeof ENDPOINTS)['guest.media']>['body']
type CloudInitBody = NonNullable<MediaBody['cloudInit']>

export interface CloudInitOptions {
  readonly cloudInitUser?: string
  readonly sshKey?: readonly string[]
  readonly hostname?: string
  readonly ip?: string
  readonly gateway?: string
  readonly nameserver?: readonly string[]
  readonly userData?: string
}

export interface MediaOptions extends CloudInitOptions {
  readonly cdrom?: string
  readonly boot?: string
}

const several = (text: string, before: readonly string[] | undefined) => [...(before ?? []), text]

/** On `vm create` and `vm cloud-init` alike. */
export function addCloudInitOptions(command: Command): Command {
  return command
    .option('--cloud-init-user <name>', 'a user who may become root, made at the first boot')
    .option('--ssh-key <file>', 'public keys with which this user may log in; may be repeated', several)
    .option('--hostname <name>', "host name; the guest's name when absent")
    .option('--ip <address>', '`dhcp`, or an address with its prefix such as 192.0.2.10/24')
    .option('--gateway <address>', 'default route, with --ip ADDRESS')
    .option('--nameserver <address>', 'with --ip ADDRESS; may be repeated', several)
    .option('--user-data <file>', "cloud-init's own language, or a script; it wins over the other options")
}

export function addMediaOptions(command: Command): Command {
  return addCloudInitOptions(
    command
      .option('--cdrom <image>', 'image of kind iso in the CD drive; the guest boots from it while its disk is empty')
      .option('--boot <order>', '`disk,cdrom` or `cdrom,disk`: what is tried first'),
  )
}

export function addVmMedia(vm: Command, terminal: Terminal): void {
  vm.command('cdrom')
    .description('Change or eject the CD of a guest, also while it runs; or its boot order for the next start')
    .argument('<name>', "the guest's name or id")
    .option('--insert <image>', 'image of kind iso that is put into the drive')
    .option('--eject', 'leave the drive empty')
    .option('--boot <order>', '`disk,cdrom` or `cdrom,disk`: what is tried first')
    .action(
      action(terminal, async (session, [guest = ''], options) => {
        const { insert, eject, boot } = options as { insert?: string; eject?: boolean; boot?: string }
        if (insert !== undefined && eject) throw badArgument('--insert and --eject exclude each other')
        if (insert === undefined && !eject && boot === undefined)
          throw badArgument('Nothing is to be changed', 'Give --insert IMAGE, --eject or --boot ORDER.')
        await change(session, guest, {
          ...(insert === undefined ? {} : { cdrom: insert }),
          ...(eject ? { cdrom: null } : {}),
          ...(boot === undefined ? {} : { bootOrder: bootOrder(boot) }),
        })
      }),
    )
  const cloudInit = vm
    .command('cloud-init')
    .description('Replace what cloud-init tells a guest, from its next start on')
    .argument('<name>', "the guest's name or id")
  addCloudInitOptions(cloudInit).action(
    action(terminal, async (session, [guest = ''], options) => {
      const settings = await cloudInitSettings(options as CloudInitOptions)
      await change(session, guest, { cloudInit: settings ?? {} })
    }),
  )
}

/** The `media` of a create; undefined when nothing of it was asked for. */
export async function mediaOf(options: MediaOptions): Promise<MediaBody | undefined> {
  const cloudInit = await cloudInitSettings(options)
  const body: MediaBody = {
    ...(options.cdrom === undefined ? {} : { cdrom: options.cdrom }),
    ...(options.boot === undefined ? {} : { bootOrder: bootOrder(options.boot) }),
    ...(cloudInit ? { cloudInit } : {}),
  }
  return Object.keys(body).length === 0 ? undefined : body
}

async function change(session: Session, guest: string, body: MediaBody): Promise<void> {
  const client = await session.client()
  const answer = valueOf(await client.call(ENDPOINTS['guest.media'], { params: { guest }, body }))
  const operation = await settle(session, client, answer.operation)
  session.print(operation, () => `vm ${guest} changed\n`)
}

async function cloudInitSettings(options: CloudInitOptions): Promise<CloudInitBody | undefined> {
  const { cloudInitUser, sshKey, hostname, userData } = options
  const network = networkOf(options)
  const sshKeys = sshKey === undefined ? undefined : (await Promise.all(sshKey.map(keysIn))).flat()
  const settings = {
    ...(cloudInitUser === undefined ? {} : { user: cloudInitUser }),
    ...(sshKeys === undefined ? {} : { sshKeys }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(network === undefined ? {} : { network }),
    ...(userData === undefined ? {} : { userData: await textIn(userData, '--user-data') }),
  }
  return Object.keys(settings).length === 0 ? undefined : settings
}

function networkOf({ ip, gateway, nameserver }: CloudInitOptions): CloudInitBody['network'] {
  if (ip === undefined || ip === 'dhcp') {
    if (gateway !== undefined || nameserver !== undefined)
      throw badArgument('--gateway and --nameserver need --ip ADDRESS/PREFIX')
    return ip === undefined ? undefined : { kind: 'dhcp' }
  }
  return {
    kind: 'static',
    address: ip,
    ...(gateway === undefined ? {} : { gateway }),
    ...(nameserver === undefined ? {} : { nameservers: [...nameserver] }),
  }
}

function bootOrder(text: string): ('disk' | 'cdrom')[] {
  return text.split(',').map((device) => {
    if (device === 'disk' || device === 'cdrom') return device
    throw badArgument(`--boot: \`${device}\` is not a device`, 'Write disk,cdrom or cdrom,disk.')
  })
}

async function keysIn(path: string): Promise<string[]> {
  const text = await textIn(path, '--ssh-key')
  if (text.includes('PRIVATE KEY'))
    throw badArgument(`--ssh-key: ${path} holds a private key`, `Give the public one, usually ${path}.pub.`)
  const lines = text.split('\n').map((line) => line.trim())
  return lines.filter((line) => line !== '' && !line.startsWith('#'))
}

async function textIn(path: string, option: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw badArgument(`${option}: ${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  })
}
