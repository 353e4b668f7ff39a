/** What cloud-init tells a machine: as a form holds it, and as the API takes it. */
import type { z } from 'zod'
import type { cloudInitSettingsSchema } from '@stead/api/media-schema.ts'

export interface CloudInitForm {
  readonly isWanted: boolean
  readonly user: string
  /** One a line. */
  readonly sshKeys: string
  readonly hostname: string
  /** `image`: as the image does it by itself. */
  readonly addressing: 'image' | 'dhcp' | 'static'
  readonly address: string
  readonly gateway: string
  readonly nameservers: string
  readonly userData: string
}

export type CloudInitBody = z.input<typeof cloudInitSettingsSchema>

export function emptyCloudInit(): CloudInitForm {
  return {
    ...{ isWanted: false, user: '', sshKeys: '', hostname: '', addressing: 'image', address: '', gateway: '' },
    ...{ nameservers: '', userData: '' },
  }
}

/** Undefined: it is told nothing. */
export function cloudInitOf(form: CloudInitForm): CloudInitBody | undefined {
  if (!form.isWanted) return undefined
  const sshKeys = form.sshKeys
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
  const network = networkOf(form)
  const settings = {
    ...(form.user === '' ? {} : { user: form.user }),
    ...(sshKeys.length === 0 ? {} : { sshKeys }),
    ...(form.hostname === '' ? {} : { hostname: form.hostname }),
    ...(network ? { network } : {}),
    ...(form.userData === '' ? {} : { userData: form.userData }),
  }
  return Object.keys(settings).length === 0 ? undefined : settings
}

function networkOf({ addressing, address, gateway, nameservers }: CloudInitForm): CloudInitBody['network'] {
  if (addressing === 'image') return undefined
  if (addressing === 'dhcp') return { kind: 'dhcp' }
  const servers = nameservers.split(/[\s,]+/).filter(Boolean)
  return {
    kind: 'static',
    address: address.trim(),
    ...(gateway === '' ? {} : { gateway: gateway.trim() }),
    ...(servers.length === 0 ? {} : { nameservers: servers }),
  }
}
