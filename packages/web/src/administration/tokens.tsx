/** API tokens of users: for programs, with at most their users' rights. */
import { Checkbox, Select } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { TokenView } from '@stead/api/endpoints/access.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useAsked, useItems } from '../parts/answered.tsx'
import { momentText } from '../parts/figures.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { SecretDialog } from '../parts/secret-dialog.tsx'
import { NameField } from '../parts/text-field.tsx'
import { useRefusal } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { Listing } from './listing.tsx'

const DAY_MS = 86_400_000
const LIFETIMES_DAYS = ['7', '30', '90', '365', ''] as const

export function Tokens() {
  const t = useText()
  const language = useLanguage()
  const may = useRefusal('/access')('access.manage')
  const asked = useAsked(['tokens'], (client) => client.call(ENDPOINTS['token.list']))
  const [isCreating, setCreating] = useState(false)
  const [revoked, setRevoked] = useState<TokenView>()
  const [made, setMade] = useState<{ readonly name: string; readonly token: string }>()
  const columns = useMemo(
    (): readonly TableColumn<TokenView>[] => [
      {
        id: 'name',
        title: t('word.name'),
        width: 'minmax(130px, 1.4fr)',
        value: ({ user, name }) => `${user}!${name}`,
        cell: ({ user, name }) => <strong>{`${user}!${name}`}</strong>,
      },
      {
        id: 'rights',
        title: t('tokens.rights'),
        width: 'minmax(110px, 1fr)',
        wideOnly: true,
        value: ({ separated }) => (separated ? 1 : 0),
        cell: ({ separated }) => (separated ? t('tokens.own') : t('tokens.asUser')),
      },
      {
        id: 'created',
        title: t('admin.created'),
        width: 'minmax(110px, 1fr)',
        wideOnly: true,
        value: ({ createdAt }) => createdAt,
        cell: ({ createdAt }) => momentText(createdAt, language),
      },
      {
        id: 'expires',
        title: t('tokens.expires'),
        width: 'minmax(110px, 1fr)',
        value: ({ expiresAt }) => expiresAt ?? '9',
        cell: ({ expiresAt }) => (expiresAt === null ? t('tokens.never') : momentText(expiresAt, language)),
      },
    ],
    [t, language],
  )
  return (
    <>
      <Listing
        label={t('admin.tab.tokens')}
        icon="key"
        asked={asked}
        idOf={({ user, name }) => `${user}!${name}`}
        textOf={({ user, name }) => `${user} ${name}`}
        columns={columns}
        actions={[
          {
            text: t('tokens.revoke'),
            refusal: () => may,
            onClick: setRevoked,
          },
        ]}
        create={{ text: t('tokens.create'), refusal: may, onClick: () => setCreating(true) }}
        none={t('tokens.none')}
      />
      {isCreating ? <TokenDialog onClose={() => setCreating(false)} onMade={setMade} /> : null}
      {made ? (
        <SecretDialog
          title={t('tokens.made', { name: made.name })}
          text={t('tokens.madeText')}
          secret={made.token}
          onClose={() => setMade(undefined)}
        />
      ) : null}
      {revoked ? (
        <ChangeDialog
          title={t('tokens.askRevoke', { name: `${revoked.user}!${revoked.name}` })}
          confirm={t('tokens.revoke')}
          danger={{}}
          call={(client) =>
            client.call(ENDPOINTS['token.revoke'], { params: { user: revoked.user, token: revoked.name } })
          }
          onClose={() => setRevoked(undefined)}
        />
      ) : null}
    </>
  )
}

function TokenDialog(props: { onClose: () => void; onMade: (made: { name: string; token: string }) => void }) {
  const t = useText()
  const users = useItems(['users'], (client) => client.call(ENDPOINTS['user.list']))
  const [user, setUser] = useState<string | null>(null)
  const [name, setName] = useState('')
  const [separated, setSeparated] = useState(false)
  const [days, setDays] = useState('90')
  const body = () => ({
    name: name.trim(),
    separated,
    ...(days === '' ? {} : { expiresAt: new Date(Date.now() + Number(days) * DAY_MS).toISOString() }),
  })
  return (
    <ChangeDialog
      title={t('tokens.create')}
      confirm={t('tokens.create')}
      complaint={user === null || name === '' ? '' : complaintOf(ENDPOINTS['token.create'].body, body())}
      call={async (client) => {
        const made = await client.call(ENDPOINTS['token.create'], { params: { user: user ?? '' }, body: body() })
        if (made.ok) props.onMade({ name: `${made.value.user}!${made.value.name}`, token: made.value.token })
        return made
      }}
      onClose={props.onClose}
    >
      <Select
        label={t('permissions.subject.user')}
        data={users.map((one) => one.name)}
        value={user}
        onChange={setUser}
        searchable
      />
      <NameField value={name} onChange={setName} />
      <Select
        label={t('tokens.expires')}
        data={LIFETIMES_DAYS.map((value) => ({
          value,
          label: value === '' ? t('tokens.never') : t('tokens.days', { count: Number(value) }),
        }))}
        value={days}
        onChange={(value) => setDays(value ?? '')}
        allowDeselect={false}
      />
      <Checkbox
        label={t('tokens.separated')}
        description={t('tokens.separatedText')}
        checked={separated}
        onChange={(event) => setSeparated(event.currentTarget.checked)}
      />
    </ChangeDialog>
  )
}
