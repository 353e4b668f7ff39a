/**
 * cloud-init's NoCloud seed: a small image with the label `cidata` that holds what the guest is told at its first boot.
 * Its files are JSON, which is YAML too and needs no quoting rules.
 *
 * `instance-id` follows from guest and settings: with new settings the guest is a new instance to cloud-init, which
 * then does its per-instance work (users, keys, host name, network) once more; with the same ones nothing is done twice.
 */
import { createHash } from 'node:crypto'
import type { Guest } from '@stead/core/model/guest.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import type { CloudInitNetwork, CloudInitSettings } from '@stead/core/model/media.ts'
import { isoImage } from './iso-image.ts'

export interface Seed {
  readonly blob: BlobId
  readonly content: Buffer
}

/** The same for the same guest and settings. */
export function seedImage(guest: Pick<Guest, 'id' | 'name' | 'nics'>, settings: CloudInitSettings): Seed {
  const generated = cloudConfig(settings)
  const network = settings.network ? networkConfig(settings.network, guest.nics[0]?.mac) : undefined
  const hostname = settings.hostname ?? guest.name
  const files = {
    // The user's own word is read after the vendor's and wins.
    'user-data': settings.userData ?? generated,
    ...(settings.userData === undefined ? {} : { 'vendor-data': generated }),
    ...(network === undefined ? {} : { 'network-config': network }),
  }
  const says = createHash('sha256')
    .update(JSON.stringify({ ...files, hostname, guest: guest.id }))
    .digest('hex')
  const metaData = json({ 'instance-id': `${guest.id}-${says.slice(0, 12)}`, 'local-hostname': hostname })
  const content = isoImage(
    'cidata',
    Object.entries({ 'meta-data': metaData, ...files }).map(([name, text]) => ({ name, content: Buffer.from(text) })),
  )
  return { blob: `sha256:${createHash('sha256').update(content).digest('hex')}` as BlobId, content }
}

function cloudConfig({ user, sshKeys = [], hostname }: CloudInitSettings): string {
  const config = {
    preserve_hostname: false,
    // Or `sudo` cannot resolve the host's own name.
    manage_etc_hosts: true,
    ...(hostname?.includes('.') ? { fqdn: hostname } : {}),
    ...(user === undefined
      ? { ssh_authorized_keys: sshKeys }
      : {
          users: [{ name: user, shell: '/bin/bash', sudo: 'ALL=(ALL) NOPASSWD:ALL', ssh_authorized_keys: sshKeys }],
        }),
  }
  return `#cloud-config\n${json(config)}`
}

/** Version 2 (netplan's). The card is known by its address, since its name depends on the guest's system. */
function networkConfig(network: CloudInitNetwork, mac: string | undefined): string {
  if (mac === undefined) return json({ version: 2, ethernets: {} })
  const match = { match: { macaddress: mac } }
  if (network.kind === 'dhcp') return json({ version: 2, ethernets: { nic0: { ...match, dhcp4: true } } })
  const { address, gateway, nameservers = [] } = network
  const everywhere = gateway?.includes(':') ? '::/0' : '0.0.0.0/0'
  const nic0 = {
    ...match,
    addresses: [address],
    ...(gateway === undefined ? {} : { routes: [{ to: everywhere, via: gateway }] }),
    ...(nameservers.length === 0 ? {} : { nameservers: { addresses: nameservers } }),
  }
  return json({ version: 2, ethernets: { nic0 } })
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
