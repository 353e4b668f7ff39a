/** A realm is made or changed: where it is, what of its answers counts, whose groups become whose. */
import { Button, Checkbox, Group, PasswordInput, Select, SimpleGrid, Textarea } from '@mantine/core'
import { useState } from 'react'
import type { RealmView } from '@stead/api/endpoints/realms.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { useItems } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { FieldGroup } from '../parts/field-group.tsx'
import { NameField, TextField } from '../parts/text-field.tsx'
import {
  complaintAboutRealm,
  EMPTY_REALM,
  formOfRealm,
  hasSecret,
  realmAddOf,
  realmChangeOf,
  type RealmForm,
  type RealmKind,
} from './realm-form.ts'
import classes from './listing.module.css'

const KINDS: readonly RealmKind[] = ['oidc', 'ldap', 'active-directory']

interface FieldsProps {
  readonly form: RealmForm
  readonly change: (part: Partial<RealmForm>) => void
}

/** `realm`: the one that is changed; absent: one is added. */
export function RealmDialog({ realm, onClose }: { realm?: RealmView; onClose: () => void }) {
  const t = useText()
  const [form, setForm] = useState<RealmForm>(realm ? formOfRealm(realm) : EMPTY_REALM)
  const change = (part: Partial<RealmForm>) => setForm((before) => ({ ...before, ...part }))
  const complaint = complaintAboutRealm(form, realm !== undefined)
  const flag = (name: 'makesUsers' | 'disabled', description: string) => (
    <Checkbox
      label={t(`realms.${name}`)}
      description={description}
      checked={form[name]}
      onChange={(event) => change({ [name]: event.currentTarget.checked })}
    />
  )
  return (
    <ChangeDialog
      title={realm ? t('realms.askEdit', { name: realm.name }) : t('realms.create')}
      confirm={realm ? t('word.save') : t('realms.create')}
      complaint={form.name === '' && complaint !== undefined ? '' : complaint}
      call={(client) =>
        realm
          ? client.call(
              ENDPOINTS['realm.set'],
              { params: { realm: realm.name }, body: realmChangeOf(form) },
              { ifMatch: realm.revision },
            )
          : client.call(ENDPOINTS['realm.add'], { body: realmAddOf(form) })
      }
      onClose={onClose}
    >
      {realm ? null : (
        <>
          <Select
            label={t('column.kind')}
            description={t(`realms.about.${form.kind}`)}
            data={KINDS.map((value) => ({ value, label: t(`realms.kind.${value}`) }))}
            value={form.kind}
            onChange={(kind) => change({ kind: kind as RealmKind })}
            allowDeselect={false}
          />
          <NameField
            value={form.name}
            onChange={(name) => change({ name })}
            description={t('realms.nameText', { name: form.name || 'example' })}
          />
        </>
      )}
      <TextField
        label={t('realms.title')}
        description={t('realms.titleText')}
        value={form.title}
        onChange={(title) => change({ title })}
      />
      {form.kind === 'oidc' ? <ProviderFields {...{ form, change }} /> : null}
      {form.kind === 'ldap' ? <DirectoryFields {...{ form, change }} /> : null}
      {form.kind === 'active-directory' ? <DomainFields {...{ form, change }} /> : null}
      <PasswordInput
        label={t(`realms.secret.${form.kind}`)}
        {...(realm && hasSecret(realm) ? { description: t('realms.secretKept') } : {})}
        value={form.secret}
        onChange={(event) => change({ secret: event.currentTarget.value })}
        autoComplete="new-password"
        disabled={form.forgetsSecret}
      />
      {realm && hasSecret(realm) ? (
        <Checkbox
          label={t('realms.forgetSecret')}
          checked={form.forgetsSecret}
          onChange={(event) => change({ forgetsSecret: event.currentTarget.checked })}
        />
      ) : null}
      <Textarea
        label={t('realms.authority')}
        description={t('realms.authorityText')}
        value={form.authority}
        onChange={(event) => change({ authority: event.currentTarget.value })}
        rows={3}
        spellCheck={false}
      />
      <GroupMapping {...{ form, change }} />
      {flag('makesUsers', t('realms.makesUsersText'))}
      {realm ? flag('disabled', t('realms.disabledText')) : null}
    </ChangeDialog>
  )
}

function ProviderFields({ form, change }: FieldsProps) {
  const t = useText()
  return (
    <>
      <TextField label={t('realms.issuer')} value={form.issuer} onChange={(issuer) => change({ issuer })} />
      <TextField
        label={t('realms.redirect')}
        description={t('realms.redirectText')}
        value={`${location.origin}/sign-in/realm`}
        onChange={() => undefined}
        readOnly
      />
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <TextField label={t('realms.clientId')} value={form.clientId} onChange={(clientId) => change({ clientId })} />
        <TextField label={t('realms.scope')} value={form.scope} onChange={(scope) => change({ scope })} />
        <TextField
          label={t('realms.userClaim')}
          value={form.userClaim}
          onChange={(userClaim) => change({ userClaim })}
        />
        <TextField
          label={t('realms.groupsClaim')}
          value={form.groupsClaim}
          onChange={(groupsClaim) => change({ groupsClaim })}
        />
      </SimpleGrid>
      <TextField
        label={t('realms.domain')}
        description={t('realms.domainText')}
        value={form.domain}
        onChange={(domain) => change({ domain })}
      />
      <Checkbox
        label={t('realms.secondFactor')}
        checked={form.checksSecondFactor}
        onChange={(event) => change({ checksSecondFactor: event.currentTarget.checked })}
      />
    </>
  )
}

function DirectoryFields({ form, change }: FieldsProps) {
  const t = useText()
  return (
    <>
      <Textarea
        label={t('realms.urls')}
        description={t('realms.urlsText')}
        value={form.urls}
        onChange={(event) => change({ urls: event.currentTarget.value })}
        rows={2}
        spellCheck={false}
      />
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <TextField label={t('realms.baseDn')} value={form.baseDn} onChange={(baseDn) => change({ baseDn })} />
        <TextField
          label={t('realms.groupBaseDn')}
          value={form.groupBaseDn}
          onChange={(groupBaseDn) => change({ groupBaseDn })}
        />
        <TextField
          label={t('realms.userAttribute')}
          value={form.userAttribute}
          onChange={(userAttribute) => change({ userAttribute })}
        />
        <TextField
          label={t('realms.userFilter')}
          value={form.userFilter}
          onChange={(userFilter) => change({ userFilter })}
        />
      </SimpleGrid>
      <TextField label={t('realms.bindDn')} value={form.bindDn} onChange={(bindDn) => change({ bindDn })} />
    </>
  )
}

function DomainFields({ form, change }: FieldsProps) {
  const t = useText()
  return (
    <>
      <TextField
        label={t('realms.activeDirectory')}
        description={t('realms.activeDirectoryText')}
        value={form.activeDirectory}
        onChange={(activeDirectory) => change({ activeDirectory })}
      />
      <Textarea
        label={t('realms.controllers')}
        description={t('realms.controllersText')}
        value={form.urls}
        onChange={(event) => change({ urls: event.currentTarget.value })}
        rows={2}
        spellCheck={false}
      />
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <TextField
          label={t('realms.onlyBelow')}
          description={t('realms.onlyBelowText')}
          value={form.baseDn}
          onChange={(baseDn) => change({ baseDn })}
        />
        <TextField
          label={t('realms.userFilter')}
          description={t('realms.userFilterText')}
          value={form.userFilter}
          onChange={(userFilter) => change({ userFilter })}
        />
      </SimpleGrid>
      <TextField
        label={t('realms.account')}
        description={t('realms.accountText')}
        value={form.bindDn}
        onChange={(bindDn) => change({ bindDn })}
      />
    </>
  )
}

/** The realm adds to these groups and takes out of them; all others are left alone. */
function GroupMapping({ form, change }: FieldsProps) {
  const t = useText()
  const groups = useItems(['groups'], (client) => client.call(ENDPOINTS['group.list']))
  const names = [...new Set([...groups.map(({ name }) => name), ...form.groups.flatMap(({ ours }) => ours || [])])]
  const set = (index: number, part: Partial<RealmForm['groups'][number]>) =>
    change({ groups: form.groups.map((each, at) => (at === index ? { ...each, ...part } : each)) })
  return (
    <FieldGroup title={t('realms.groups')}>
      <p className={classes.dim}>{t('realms.groupsText')}</p>
      {form.groups.map(({ theirs, ours }, index) => (
        // Lines have no other identity than their place.
        <Group key={index} gap={8} align="flex-end" wrap="nowrap" mt={6}>
          <TextField
            flex={1}
            label={t('realms.theirs')}
            value={theirs}
            onChange={(next) => set(index, { theirs: next })}
          />
          <Select
            flex={1}
            label={t('realms.ours')}
            data={names}
            value={ours || null}
            onChange={(next) => set(index, { ours: next ?? '' })}
            searchable
          />
          <Button
            variant="default"
            aria-label={t('realms.unmap', { group: theirs || String(index + 1) })}
            onClick={() => change({ groups: form.groups.filter((_, at) => at !== index) })}
          >
            {t('realms.unmapShort')}
          </Button>
        </Group>
      ))}
      <Button
        mt={8}
        size="compact-sm"
        variant="default"
        onClick={() => change({ groups: [...form.groups, { theirs: '', ours: '' }] })}
      >
        {t('realms.map')}
      </Button>
    </FieldGroup>
  )
}
