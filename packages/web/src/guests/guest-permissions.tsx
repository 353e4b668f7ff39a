/** Who may do what with this guest: what was given, to whom something more is given, and whether somebody may, and why. */
import { Button, Group, Select, Stack, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { PermissionView } from '@stead/api/endpoints/access.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { PRIVILEGES, type Privilege } from '@stead/core/access/privilege.ts'
import { useText } from '../i18n/texts.ts'
import { useItems } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty, Panel } from '../parts/page.tsx'
import { DelegateDialog } from '../parts/delegate-dialog.tsx'
import { useRefusal } from '../session/privileges.ts'
import { useSession } from '../session/session-context.ts'
import { ShortTable } from '../table/short-table.tsx'
import { permissionsOn } from './guest-permission-paths.ts'
import classes from './guest-tabs.module.css'

const OF_GUESTS = PRIVILEGES.filter((privilege) => privilege.startsWith('guest.') && privilege !== 'guest.create')

export function GuestPermissions({ guest }: { guest: GuestView }) {
  return (
    <div className={classes.column}>
      <Given guest={guest} />
      <MayThey guest={guest} />
    </div>
  )
}

function Given({ guest }: { guest: GuestView }) {
  const t = useText()
  const { client } = useSession()
  // Who may not see everybody's permissions sees those of his project, and gives what he has there.
  const isTenant = useRefusal('/access')('access.view') !== undefined
  const { project } = guest
  const [asked, setAsked] = useState<'grant' | PermissionView>()
  const answer = useQuery({
    queryKey: ['permissions', isTenant ? project : undefined],
    queryFn: () =>
      isTenant
        ? client.call(ENDPOINTS['delegation.list'], { params: { project } })
        : client.call(ENDPOINTS['permission.list'], { query: {} }),
  })
  if (!answer.data) return <LoadingRows />
  if (!answer.data.ok) return <FailureAlert failure={answer.data.error} />
  const given = permissionsOn(guest, answer.data.value.items)
  const close = () => setAsked(undefined)
  const dialog = { guest, isTenant, onClose: close }
  const canTake = ({ path, delegated }: PermissionView) =>
    path === `/guests/${guest.name}` && (!isTenant || delegated !== undefined)
  return (
    <Panel
      title={t('access.given')}
      aside={
        <Button size="compact-xs" variant="default" onClick={() => setAsked('grant')}>
          {t('access.give')}
        </Button>
      }
    >
      {given.length === 0 ? (
        <Empty icon="key" title={t('access.none')} text={t('access.noneText')} />
      ) : (
        <ShortTable
          label={t('tab.permissions')}
          columns={[t('access.who'), t('access.role'), t('access.where'), t('access.actions')]}
        >
          {given.map((permission) => (
            <tr key={permission.id}>
              <td>
                {permission.subject.name}{' '}
                <span className={classes.dim}>{t(`access.kind.${permission.subject.kind}`)}</span>
              </td>
              <td>{permission.role}</td>
              <td>
                <code>{permission.path}</code>
              </td>
              <td>
                {canTake(permission) ? (
                  <Button size="compact-xs" variant="default" onClick={() => setAsked(permission)}>
                    {t('access.take')}
                  </Button>
                ) : (
                  <span className={classes.dim}>
                    {permission.path === `/guests/${guest.name}` ? t('delegation.theirs') : t('access.inherited')}
                  </span>
                )}
              </td>
            </tr>
          ))}
        </ShortTable>
      )}
      {asked === 'grant' && isTenant ? <DelegateDialog project={project} guest={guest.name} onClose={close} /> : null}
      {asked === 'grant' && !isTenant ? <GrantDialog {...dialog} /> : null}
      {asked !== undefined && asked !== 'grant' ? <RevokeDialog {...dialog} permission={asked} /> : null}
    </Panel>
  )
}

interface DialogProps {
  readonly guest: GuestView
  readonly isTenant: boolean
  readonly onClose: () => void
}

function GrantDialog({ guest, onClose }: Omit<DialogProps, 'isTenant'>) {
  const t = useText()
  const users = useItems(['users'], (client) => client.call(ENDPOINTS['user.list']))
  const groups = useItems(['groups'], (client) => client.call(ENDPOINTS['group.list']))
  const roles = useItems(['roles'], (client) => client.call(ENDPOINTS['role.list']))
  const [who, setWho] = useState<string | null>(null)
  const [role, setRole] = useState<string | null>('GuestUser')
  const subjects = [
    ...users.map(({ name }) => ({ kind: 'user' as const, name })),
    ...groups.map(({ name }) => ({ kind: 'group' as const, name })),
  ]
  const subject = subjects.find(({ kind, name }) => `${kind} ${name}` === who)
  return (
    <ChangeDialog
      title={t('access.giveTitle', { name: guest.name })}
      confirm={t('access.give')}
      complaint={subject && role !== null ? undefined : ''}
      call={(client) =>
        client.call(ENDPOINTS['permission.grant'], {
          body: { subject: subject ?? { kind: 'user', name: '' }, role: role ?? '', path: `/guests/${guest.name}` },
        })
      }
      onClose={onClose}
    >
      <Select
        label={t('access.who')}
        data={subjects.map(({ kind, name }) => ({
          value: `${kind} ${name}`,
          label: `${name} (${t(`access.kind.${kind}`)})`,
        }))}
        value={who}
        onChange={setWho}
        searchable
      />
      <Select
        label={t('access.role')}
        data={roles.map(({ name }) => name)}
        value={role}
        onChange={setRole}
        allowDeselect={false}
      />
    </ChangeDialog>
  )
}

function RevokeDialog({ guest, isTenant, permission, onClose }: DialogProps & { readonly permission: PermissionView }) {
  const t = useText()
  return (
    <ChangeDialog
      title={t('access.takeTitle', { role: permission.role, who: permission.subject.name, name: guest.name })}
      confirm={t('access.take')}
      call={(client) => {
        const params = { permission: permission.id }
        return isTenant
          ? client.call(ENDPOINTS['delegation.revoke'], { params: { ...params, project: guest.project } })
          : client.call(ENDPOINTS['permission.revoke'], { params })
      }}
      onClose={onClose}
    />
  )
}

/** Whether somebody may do something with it, and what decides that. */
function MayThey({ guest }: { guest: GuestView }) {
  const t = useText()
  const { client } = useSession()
  const [who, setWho] = useState('')
  const [privilege, setPrivilege] = useState<Privilege>('guest.operate')
  const [asked, setAsked] = useState<{ readonly principal: string; readonly privilege: Privilege }>()
  const answer = useQuery({
    queryKey: ['may', guest.id, asked],
    enabled: asked !== undefined,
    queryFn: () =>
      client.call(ENDPOINTS['auth.explain'], {
        query: {
          principal: asked?.principal ?? '',
          privilege: asked?.privilege ?? privilege,
          path: `/guests/${guest.name}`,
        },
      }),
  })
  const explained = answer.data?.ok ? answer.data.value : undefined
  return (
    <Panel title={t('access.may')}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          setAsked({ principal: who.trim(), privilege })
        }}
      >
        <Group align="end">
          <TextInput
            label={t('access.principal')}
            placeholder="alice"
            value={who}
            onChange={(event) => setWho(event.currentTarget.value)}
          />
          <Select
            label={t('access.privilege')}
            data={OF_GUESTS.map((value) => ({ value, label: value }))}
            value={privilege}
            allowDeselect={false}
            onChange={(value) => setPrivilege(value as Privilege)}
          />
          <Button type="submit" variant="default" disabled={who.trim() === ''}>
            {t('access.ask')}
          </Button>
        </Group>
      </form>
      <Stack mt="md" role="status">
        {answer.data?.ok === false ? <FailureAlert failure={answer.data.error} /> : null}
        {explained ? (
          <p className={classes.outcome}>
            {t(explained.allowed ? 'access.yes' : 'access.no', { who: explained.principal })} {explained.because}
          </p>
        ) : null}
      </Stack>
    </Panel>
  )
}
