/** Who has which role on what; the roles; and whether somebody may do something, and why. */
import { Button, Checkbox, Group, Select } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { PermissionView, RoleView } from '@stead/api/endpoints/access.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { PRIVILEGES, type Privilege } from '@stead/core/access/privilege.ts'
import { useText } from '../i18n/texts.ts'
import { Answered, useAsked, useItems } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { Icon } from '../parts/icon.tsx'
import { Panel } from '../parts/page.tsx'
import { NameField, TextField } from '../parts/text-field.tsx'
import { useRefusal } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { Listing } from './listing.tsx'
import classes from './listing.module.css'

const SUBJECTS = ['user', 'group', 'token'] as const

export function Permissions() {
  const t = useText()
  const may = useRefusal('/access')('access.manage')
  const asked = useAsked(['permissions'], (client) => client.call(ENDPOINTS['permission.list']))
  const [isGranting, setGranting] = useState(false)
  const [revoked, setRevoked] = useState<PermissionView>()
  const columns = useMemo(
    (): readonly TableColumn<PermissionView>[] => [
      {
        id: 'subject',
        title: t('permissions.who'),
        width: 'minmax(120px, 1.2fr)',
        value: ({ subject }) => `${subject.kind} ${subject.name}`,
        cell: ({ subject }) => (
          <>
            <span className={classes.dim}>{t(`permissions.subject.${subject.kind}`)}</span>{' '}
            <strong>{subject.name}</strong>
          </>
        ),
      },
      {
        id: 'role',
        title: t('permissions.role'),
        width: 'minmax(90px, .8fr)',
        value: ({ role }) => role,
        cell: ({ role }) => role,
      },
      {
        id: 'path',
        title: t('permissions.path'),
        width: 'minmax(110px, 1.6fr)',
        value: ({ path }) => path,
        cell: ({ path, propagate }) => (
          <span title={propagate ? t('permissions.below') : t('permissions.onlyThis')}>
            <code>{path}</code> {propagate ? '' : `(${t('permissions.onlyThis')})`}
          </span>
        ),
      },
    ],
    [t],
  )
  return (
    <>
      <Listing
        label={t('admin.tab.permissions')}
        icon="key"
        asked={asked}
        idOf={({ id }) => id}
        nameOf={({ subject, role, path }) => `${subject.name}, ${role}, ${path}`}
        textOf={({ subject, role, path }) => `${subject.kind} ${subject.name} ${role} ${path}`}
        columns={columns}
        actions={[
          {
            text: t('permissions.revoke'),
            refusal: () => may,
            onClick: setRevoked,
          },
        ]}
        create={{ text: t('permissions.grant'), refusal: may, onClick: () => setGranting(true) }}
        none={t('permissions.none')}
        isShort
      />
      <Explain />
      {isGranting ? <GrantDialog onClose={() => setGranting(false)} /> : null}
      {revoked ? (
        <ChangeDialog
          title={t('permissions.askRevoke', { name: revoked.subject.name, role: revoked.role, path: revoked.path })}
          confirm={t('permissions.revoke')}
          danger={{}}
          call={(client) => client.call(ENDPOINTS['permission.revoke'], { params: { permission: revoked.id } })}
          onClose={() => setRevoked(undefined)}
        />
      ) : null}
    </>
  )
}

function GrantDialog({ onClose }: { onClose: () => void }) {
  const t = useText()
  const roles = useItems(['roles'], (client) => client.call(ENDPOINTS['role.list']))
  const users = useItems(['users'], (client) => client.call(ENDPOINTS['user.list']))
  const groups = useItems(['groups'], (client) => client.call(ENDPOINTS['group.list']))
  const tokens = useItems(['tokens'], (client) => client.call(ENDPOINTS['token.list']))
  const [kind, setKind] = useState<(typeof SUBJECTS)[number]>('user')
  const [name, setName] = useState<string | null>(null)
  const [role, setRole] = useState<string | null>(null)
  const [path, setPath] = useState('/')
  const [propagate, setPropagate] = useState(true)
  const names = {
    user: users.map((user) => user.name),
    group: groups.map((group) => group.name),
    token: tokens.map((token) => `${token.user}!${token.name}`),
  }
  return (
    <ChangeDialog
      title={t('permissions.grant')}
      confirm={t('permissions.grant')}
      complaint={name !== null && role !== null && path.startsWith('/') ? undefined : ''}
      call={(client) =>
        client.call(ENDPOINTS['permission.grant'], {
          body: { subject: { kind, name: name ?? '' }, role: role ?? '', path: path.trim(), propagate },
        })
      }
      onClose={onClose}
    >
      <Group grow>
        <Select
          label={t('permissions.kind')}
          data={SUBJECTS.map((value) => ({ value, label: t(`permissions.subject.${value}`) }))}
          value={kind}
          onChange={(value) => {
            setKind(value as typeof kind)
            setName(null)
          }}
          allowDeselect={false}
        />
        <Select label={t('permissions.who')} data={names[kind]} value={name} onChange={setName} searchable />
      </Group>
      <Select
        label={t('permissions.role')}
        data={roles.map((one) => one.name)}
        value={role}
        onChange={setRole}
        searchable
      />
      <TextField
        label={t('permissions.path')}
        description={t('permissions.pathText')}
        value={path}
        onChange={setPath}
      />
      <Checkbox
        label={t('permissions.below')}
        checked={propagate}
        onChange={(event) => setPropagate(event.currentTarget.checked)}
      />
    </ChangeDialog>
  )
}

/** Whether somebody may do something, and which permission decides. */
function Explain() {
  const t = useText()
  const users = useItems(['users'], (client) => client.call(ENDPOINTS['user.list']))
  const [principal, setPrincipal] = useState<string | null>(null)
  const [privilege, setPrivilege] = useState<Privilege>('guest.view')
  const [path, setPath] = useState('/')
  const [question, setQuestion] = useState<{ principal: string; privilege: Privilege; path: string }>()
  return (
    <Panel title={t('permissions.explain')}>
      <Group align="end">
        <Select
          label={t('permissions.subject.user')}
          data={users.map(({ name }) => name)}
          value={principal}
          onChange={setPrincipal}
          searchable
        />
        <Select
          label={t('permissions.privilege')}
          data={PRIVILEGES}
          value={privilege}
          onChange={(value) => setPrivilege((value ?? 'guest.view') as Privilege)}
          searchable
          allowDeselect={false}
        />
        <TextField label={t('permissions.path')} value={path} onChange={setPath} />
        <Button
          variant="default"
          disabled={principal === null}
          onClick={() => setQuestion({ principal: principal ?? '', privilege, path })}
        >
          {t('permissions.ask')}
        </Button>
      </Group>
      {question ? <Explanation key={JSON.stringify(question)} question={question} /> : null}
    </Panel>
  )
}

function Explanation({ question }: { question: { principal: string; privilege: Privilege; path: string } }) {
  const t = useText()
  const asked = useAsked(['access-explanation', question], (client) =>
    client.call(ENDPOINTS['auth.explain'], { query: question }),
  )
  return (
    <Answered asked={asked}>
      {({ allowed, because }) => (
        <p className={classes.answer} role="status">
          <Icon name={allowed ? 'check' : 'close'} size={17} />
          <span>
            <strong>{allowed ? t('word.yes') : t('word.no')}</strong>: {because}
          </span>
        </p>
      )}
    </Answered>
  )
}

export function Roles() {
  const t = useText()
  const may = useRefusal('/access')('access.manage')
  const asked = useAsked(['roles'], (client) => client.call(ENDPOINTS['role.list']))
  const [isCreating, setCreating] = useState(false)
  const [deleted, setDeleted] = useState<RoleView>()
  const columns = useMemo(
    (): readonly TableColumn<RoleView>[] => [
      {
        id: 'name',
        title: t('word.name'),
        width: 'minmax(110px, .7fr)',
        value: ({ name }) => name,
        cell: ({ name }) => <strong>{name}</strong>,
      },
      {
        id: 'privileges',
        title: t('roles.privileges'),
        width: 'minmax(140px, 3fr)',
        value: ({ privileges }) => privileges.length,
        cell: ({ privileges }) => <span title={privileges.join('\n')}>{privileges.join(', ') || '–'}</span>,
      },
    ],
    [t],
  )
  return (
    <>
      <Listing
        label={t('admin.tab.roles')}
        icon="shield"
        asked={asked}
        idOf={({ name }) => name}
        textOf={({ name, privileges }) => [name, ...privileges].join(' ')}
        columns={columns}
        actions={[
          {
            text: t('roles.delete'),
            refusal: ({ builtIn }) => may ?? (builtIn ? t('roles.builtIn') : undefined),
            onClick: setDeleted,
          },
        ]}
        create={{ text: t('roles.create'), refusal: may, onClick: () => setCreating(true) }}
        none={t('roles.none')}
      />
      {isCreating ? <RoleDialog onClose={() => setCreating(false)} /> : null}
      {deleted ? (
        <ChangeDialog
          title={t('roles.askDelete', { name: deleted.name })}
          confirm={t('roles.delete')}
          danger={{}}
          call={(client) => client.call(ENDPOINTS['role.delete'], { params: { role: deleted.name } })}
          onClose={() => setDeleted(undefined)}
        />
      ) : null}
    </>
  )
}

function RoleDialog({ onClose }: { onClose: () => void }) {
  const t = useText()
  const [name, setName] = useState('')
  const [privileges, setPrivileges] = useState<readonly Privilege[]>([])
  const nouns = [...new Set(PRIVILEGES.map((one) => one.split('.')[0] ?? ''))]
  return (
    <ChangeDialog
      title={t('roles.create')}
      confirm={t('roles.create')}
      complaint={name.trim() !== '' && privileges.length > 0 ? undefined : ''}
      call={(client) =>
        client.call(ENDPOINTS['role.create'], { body: { name: name.trim(), privileges: [...privileges] } })
      }
      onClose={onClose}
    >
      <NameField value={name} onChange={setName} />
      {nouns.map((noun) => (
        <Checkbox.Group
          key={noun}
          label={noun}
          value={[...privileges]}
          onChange={(chosen) => setPrivileges(chosen as Privilege[])}
        >
          <Group gap="lg" mt={4}>
            {PRIVILEGES.filter((one) => one.startsWith(`${noun}.`)).map((one) => (
              <Checkbox key={one} value={one} label={one.slice(noun.length + 1)} />
            ))}
          </Group>
        </Checkbox.Group>
      ))}
    </ChangeDialog>
  )
}
