/** Which records the revision of an object is the revision of: the latest of theirs. Pure. */
import type { RevisedObject } from '@stead/api/endpoint.ts'
import { tokenKey } from '@stead/core/model/access.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { templateByName } from '@stead/core/model/container-template.ts'
import type { GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { BackupId } from '@stead/core/model/backup.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { guestByName } from '@stead/core/model/records.ts'
import type { RuleId } from '@stead/core/model/rule.ts'

type Params = Readonly<Record<string, string>>

/** Empty where there is no such object. A project without settings and the policy are there before their records. */
export function recordKeysOf(object: RevisedObject, state: ClusterState, params: Params): readonly string[] {
  const name = params[object] ?? ''
  const record = (records: ReadonlyMap<string, unknown>, key: string) => (records.has(name) ? [key] : [])
  switch (object) {
    case 'policy':
      return [KEYS.clusterPolicy]
    case 'certificate':
      return [KEYS.wantedCertificate]
    case 'project':
      return [KEYS.project(name)]
    case 'guest': {
      const guest = state.guests.get(name as GuestId) ?? guestByName(state, name)
      return guest ? [KEYS.guest(guest.value.id)] : []
    }
    case 'host': {
      const id = name as HostId
      return state.hosts.has(id) ? [KEYS.host(id), KEYS.policy(id)] : []
    }
    case 'volume':
      return record(state.volumes, KEYS.volume(name as VolumeId))
    case 'image':
    case 'template': {
      const image = state.images.get(name) ?? templateByName(state.images, name)
      return image ? [KEYS.image(image.value.name)] : []
    }
    case 'rule':
      return record(state.rules, KEYS.rule(name as RuleId))
    case 'backup':
      return record(state.backups, KEYS.backup(name as BackupId))
    case 'user':
      return record(state.users, KEYS.user(name))
    case 'group':
      return record(state.groups, KEYS.group(name))
    case 'webhook':
      return record(state.webhooks, KEYS.webhook(name))
    case 'realm':
      return record(state.realms, KEYS.realm(name))
    case 'role':
      return record(state.roles, KEYS.role(name))
    case 'permission':
      return record(state.permissions, KEYS.permission(name))
    case 'token': {
      const key = tokenKey({ user: params['user'] ?? '', name })
      return state.tokens.has(key) ? [KEYS.token(key)] : []
    }
    default:
      return object satisfies never
  }
}

export function latestOf(revisions: readonly bigint[]): bigint {
  return revisions.reduce((latest, one) => (one > latest ? one : latest), 0n)
}
