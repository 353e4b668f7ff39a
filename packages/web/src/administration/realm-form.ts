/** What the form of a realm holds, and the requests that come of it. The API's own schemas judge them. */
import type { RealmView } from '@stead/api/endpoints/realms.ts'
import type { CallInput } from '@stead/api/endpoint.ts'
import { directoryUrls } from '@stead/api/directory-urls.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { complaintOf } from '../parts/schema-complaint.ts'

/** An Active Directory is a directory of which less must be said. */
export type RealmKind = RealmView['service']['kind'] | 'active-directory'
type AddBody = CallInput<(typeof ENDPOINTS)['realm.add']>['body']
type SetBody = CallInput<(typeof ENDPOINTS)['realm.set']>['body']

export interface RealmForm {
  readonly kind: RealmKind
  readonly name: string
  readonly title: string
  readonly makesUsers: boolean
  readonly disabled: boolean
  readonly groups: readonly { readonly theirs: string; readonly ours: string }[]
  readonly authority: string
  /** Client secret or bind password; empty in a realm that is there: as it was. */
  readonly secret: string
  readonly forgetsSecret: boolean
  readonly issuer: string
  readonly clientId: string
  readonly scope: string
  readonly userClaim: string
  readonly groupsClaim: string
  readonly domain: string
  readonly checksSecondFactor: boolean
  /** The domain of an Active Directory. */
  readonly activeDirectory: string
  /** One a line. */
  readonly urls: string
  readonly baseDn: string
  readonly bindDn: string
  readonly userAttribute: string
  readonly userFilter: string
  readonly groupBaseDn: string
}

export const EMPTY_REALM: RealmForm = {
  ...{ kind: 'oidc', name: '', title: '', makesUsers: false, disabled: false, groups: [], authority: '' },
  ...{ secret: '', forgetsSecret: false },
  ...{ issuer: 'https://', clientId: '', scope: 'openid profile email', userClaim: 'preferred_username' },
  ...{ groupsClaim: 'groups', domain: '', checksSecondFactor: false },
  ...{ activeDirectory: '', urls: '', baseDn: '', bindDn: '', userAttribute: 'uid', userFilter: '', groupBaseDn: '' },
}

export function formOfRealm({ name, title, makesUsers, disabled, groups, service }: RealmView): RealmForm {
  const shared = { ...EMPTY_REALM, name, title, makesUsers, disabled, groups, authority: service.authority ?? '' }
  if (service.kind === 'oidc') {
    const { kind, issuer, clientId, scope, userClaim, groupsClaim, domain = '', checksSecondFactor = false } = service
    return { ...shared, kind, issuer, clientId, scope, userClaim, groupsClaim, domain, checksSecondFactor }
  }
  const { activeDirectory = '', urls, baseDn, bindDn = '', userAttribute, userFilter = '', groupBaseDn = '' } = service
  const kind = activeDirectory === '' ? service.kind : 'active-directory'
  const users = { baseDn, userAttribute, userFilter, groupBaseDn }
  return { ...shared, ...users, kind, activeDirectory, urls: urls.join('\n'), bindDn }
}

/** Whether one is kept; it is never shown. */
export function hasSecret({ service }: RealmView): boolean {
  return (service.kind === 'oidc' ? service.clientSecret : service.bindPassword) !== undefined
}

export function realmAddOf(form: RealmForm): AddBody {
  const { name, title, makesUsers } = form
  return {
    ...{ name: name.trim(), makesUsers, groups: mappedGroups(form) },
    ...(title.trim() === '' ? {} : { title: title.trim() }),
    service: serviceOf(form, (value) => (value.trim() === '' ? undefined : value.trim())) as AddBody['service'],
  }
}

export function realmChangeOf(form: RealmForm): SetBody {
  const { title, makesUsers, disabled, forgetsSecret, kind } = form
  const service = serviceOf(form, (value) => (value.trim() === '' ? null : value.trim()))
  const secret = kind === 'oidc' ? 'clientSecret' : 'bindPassword'
  if (forgetsSecret) service[secret] = null
  else if (form.secret === '') delete service[secret]
  return {
    ...{ title: title.trim() === '' ? null : title.trim(), makesUsers, disabled, groups: mappedGroups(form) },
    service: service as NonNullable<SetBody['service']>,
  }
}

export function complaintAboutRealm(form: RealmForm, isThere: boolean): string | undefined {
  return isThere
    ? complaintOf(ENDPOINTS['realm.set'].body, realmChangeOf(form))
    : complaintOf(ENDPOINTS['realm.add'].body, realmAddOf(form))
}

/** A line that is not filled in yet maps nothing. */
function mappedGroups({ groups }: RealmForm) {
  return groups.filter(({ theirs, ours }) => theirs.trim() !== '' || ours !== '').map((each) => ({ ...each }))
}

/** `optional`: what an empty text is in the request. */
function serviceOf(form: RealmForm, optional: (text: string) => string | null | undefined): Record<string, unknown> {
  const authority = optional(form.authority)
  // A blank at the end of a password is part of it.
  const secret = form.secret === '' ? undefined : form.secret
  const urls = directoryUrls(form.urls)
  const read = { bindDn: optional(form.bindDn), bindPassword: secret, userFilter: optional(form.userFilter), authority }
  const services: Record<RealmKind, () => object> = {
    oidc: () => ({
      ...{ kind: 'oidc', issuer: form.issuer.trim(), clientId: form.clientId.trim(), clientSecret: secret },
      ...{ scope: form.scope.trim(), userClaim: form.userClaim.trim(), groupsClaim: form.groupsClaim.trim() },
      ...{ domain: optional(form.domain), checksSecondFactor: form.checksSecondFactor, authority },
    }),
    ldap: () => ({
      ...{ ...read, kind: 'ldap', urls, baseDn: form.baseDn.trim() },
      ...{ userAttribute: form.userAttribute.trim(), groupBaseDn: optional(form.groupBaseDn) },
    }),
    // What is left empty follows from the domain.
    'active-directory': () => ({
      ...{ ...read, kind: 'ldap', activeDirectory: form.activeDirectory.trim() },
      ...(urls.length === 0 ? {} : { urls }),
      ...(form.baseDn.trim() === '' ? {} : { baseDn: form.baseDn.trim() }),
    }),
  }
  const service = services[form.kind]()
  return Object.fromEntries(Object.entries(service).filter(([, value]) => value !== undefined))
}
