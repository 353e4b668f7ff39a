/** Users: who there is, who may sign in, with which one-time password. */
import { Checkbox, Radio, Stack } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { UserView } from '@stead/api/endpoints/access.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useAsked } from '../parts/answered.tsx'
import { momentText } from '../parts/figures.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { SecretDialog } from '../parts/secret-dialog.tsx'
import { NameField, TextField } from '../parts/text-field.tsx'
import { useRefusal } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { Listing, nameColumn, type RowAction } from './listing.tsx'
import classes from './listing.module.css'

type RowKind = 'edit' | 'password' | 'lost' | 'delete'
type Asking = { readonly kind: 'create' } | { readonly kind: RowKind; readonly user: UserView }

export function Users() {
  const t = useText()
  const language = useLanguage()
  const refusal = useRefusal('/access')
  const asked = useAsked(['users'], (client) => client.call(ENDPOINTS['user.list']))
  const [asking, setAsking] = useState<Asking>()
  const [password, setPassword] = useState<{ readonly user: string; readonly password: string }>()
  const may = refusal('access.manage')
  const columns = useMemo(
    (): readonly TableColumn<UserView>[] => [
      nameColumn(t('word.name'), 'minmax(110px, 1fr)', ({ fullName }) => fullName),
      {
        id: 'fullName',
        title: t('admin.fullName'),
        width: 'minmax(110px, 1.2fr)',
        wideOnly: true,
        value: ({ fullName }) => fullName,
        cell: ({ fullName }) => fullName || '–',
      },
      {
        id: 'groups',
        title: t('admin.groups'),
        width: 'minmax(90px, 1fr)',
        wideOnly: true,
        value: ({ groups }) => groups.join(' '),
        cell: ({ groups }) => groups.join(', ') || '–',
      },
      {
        id: 'state',
        title: t('column.state'),
        width: 'minmax(90px, .9fr)',
        value: ({ disabled }) => (disabled ? 1 : 0),
        cell: ({ disabled, expiresAt }) =>
          disabled
            ? t('admin.disabled')
            : expiresAt === null
              ? t('admin.active')
              : t('admin.until', { time: momentText(expiresAt, language) }),
      },
    ],
    [t, language],
  )
  const actions = useMemo((): readonly RowAction<UserView>[] => {
    const action = (kind: RowKind, ofRow: (row: UserView) => string | undefined = () => may) => ({
      text: t(`users.${kind}`),
      refusal: ofRow,
      onClick: (user: UserView) => setAsking({ kind, user }),
    })
    const isLocal = ({ realm }: UserView) => may ?? (realm === 'local' ? undefined : t('users.notLocal', { realm }))
    return [action('edit'), action('password', isLocal), action('lost'), action('delete')]
  }, [t, may])
  const close = () => setAsking(undefined)
  return (
    <>
      <Listing
        label={t('admin.tab.users')}
        icon="user"
        asked={asked}
        idOf={({ name }) => name}
        textOf={({ name, fullName, email, groups }) => [name, fullName, email, ...groups].join(' ')}
        columns={columns}
        actions={actions}
        create={{ text: t('users.create'), refusal: may, onClick: () => setAsking({ kind: 'create' }) }}
        none={t('users.none')}
      />
      {asking?.kind === 'create' ? <UserDialog onClose={close} /> : null}
      {asking?.kind === 'edit' ? <UserDialog user={asking.user} onClose={close} /> : null}
      {asking?.kind === 'password' ? (
        <ChangeDialog
          title={t('users.askPassword', { name: asking.user.name })}
          confirm={t('users.password')}
          call={async (client) => {
            const made = await client.call(ENDPOINTS['user.reset-password'], { params: { user: asking.user.name } })
            if (made.ok) setPassword(made.value)
            return made
          }}
          onClose={close}
        >
          <p className={classes.text}>{t('users.passwordText')}</p>
        </ChangeDialog>
      ) : null}
      {asking?.kind === 'lost' ? <LostDialog user={asking.user} onClose={close} /> : null}
      {asking?.kind === 'delete' ? (
        <ChangeDialog
          title={t('users.askDelete', { name: asking.user.name })}
          confirm={t('users.delete')}
          danger={{ text: t('users.deleteText'), name: asking.user.name }}
          call={(client) => client.call(ENDPOINTS['user.delete'], { params: { user: asking.user.name } })}
          onClose={close}
        />
      ) : null}
      {password ? (
        <SecretDialog
          title={t('users.oneTime', { name: password.user })}
          text={t('users.oneTimeText')}
          secret={password.password}
          onClose={() => setPassword(undefined)}
        />
      ) : null}
    </>
  )
}

/** A device of his is in other hands, or what he signs in with is gone. */
function LostDialog({ user, onClose }: { user: UserView; onClose: () => void }) {
  const t = useText()
  const [what, setWhat] = useState<string>('user.end-sessions')
  const params = { user: user.name }
  return (
    <ChangeDialog
      title={t('users.askLost', { name: user.name })}
      confirm={t('users.lost')}
      danger={{}}
      call={(client) =>
        what === 'user.end-sessions'
          ? client.call(ENDPOINTS['user.end-sessions'], { params })
          : client.call(ENDPOINTS['user.remove-second-factors'], { params })
      }
      onClose={onClose}
    >
      <Radio.Group value={what} onChange={setWhat} aria-label={t('users.lost')}>
        <Stack gap="sm">
          <Radio value="user.end-sessions" label={t('users.endSessions')} description={t('users.endSessionsText')} />
          <Radio
            value="user.remove-second-factors"
            label={t('users.removeFactors')}
            description={t('users.removeFactorsText')}
          />
        </Stack>
      </Radio.Group>
    </ChangeDialog>
  )
}

function UserDialog({ user, onClose }: { user?: UserView; onClose: () => void }) {
  const t = useText()
  const [form, setForm] = useState({
    name: user?.name ?? '',
    fullName: user?.fullName ?? '',
    email: user?.email ?? '',
    disabled: user?.disabled ?? false,
  })
  const change = (part: Partial<typeof form>) => setForm((before) => ({ ...before, ...part }))
  const { name, fullName, email, disabled } = form
  const created = { name: name.trim(), fullName, ...(email === '' ? {} : { email }) }
  const changed = { fullName, email: email === '' ? null : email, disabled }
  const complaint = user
    ? complaintOf(ENDPOINTS['user.set'].body, changed)
    : name === ''
      ? ''
      : complaintOf(ENDPOINTS['user.create'].body, created)
  return (
    <ChangeDialog
      title={user ? t('users.askEdit', { name: user.name }) : t('users.create')}
      confirm={user ? t('word.save') : t('users.create')}
      complaint={complaint}
      call={(client) =>
        user
          ? client.call(
              ENDPOINTS['user.set'],
              { params: { user: user.name }, body: changed },
              { ifMatch: user.revision },
            )
          : client.call(ENDPOINTS['user.create'], { body: created })
      }
      onClose={onClose}
    >
      {user ? null : (
        <NameField description={t('users.nameText')} value={name} onChange={(text) => change({ name: text })} />
      )}
      <TextField label={t('admin.fullName')} value={fullName} onChange={(text) => change({ fullName: text })} />
      <TextField label={t('users.email')} value={email} onChange={(text) => change({ email: text })} />
      {user ? (
        <Checkbox
          label={t('users.disable')}
          checked={disabled}
          onChange={(event) => change({ disabled: event.currentTarget.checked })}
        />
      ) : null}
    </ChangeDialog>
  )
}
