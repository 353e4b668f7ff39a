/** Who has which role on a project and its guests; what was given within it is given and taken back here. */
import { Button, Group, Modal, Stack } from '@mantine/core'
import { useState } from 'react'
import type { PermissionView } from '@stead/api/endpoints/access.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { DelegateDialog } from '../parts/delegate-dialog.tsx'
import { useRefusal } from '../session/privileges.ts'
import classes from './listing.module.css'

type Asking = 'give' | PermissionView

export function ProjectPermissions({ project, onClose }: { project: string; onClose: () => void }) {
  const t = useText()
  const refusal = useRefusal(`/projects/${project}`)('project.delegate')
  const asked = useAsked(['permissions', project], (client) =>
    client.call(ENDPOINTS['delegation.list'], { params: { project } }),
  )
  const [asking, setAsking] = useState<Asking>()
  const close = () => setAsking(undefined)
  if (asking === 'give') return <DelegateDialog project={project} onClose={close} />
  if (asking)
    return (
      <ChangeDialog
        title={t('permissions.askRevoke', { name: asking.subject.name, role: asking.role, path: asking.path })}
        confirm={t('delegation.take')}
        danger={{}}
        call={(client) => client.call(ENDPOINTS['delegation.revoke'], { params: { project, permission: asking.id } })}
        onClose={close}
      />
    )
  return (
    <Modal
      opened
      onClose={onClose}
      size="xl"
      title={t('projects.askPermissions', { name: project })}
      closeButtonProps={{ 'aria-label': t('word.close') }}
    >
      <Stack>
        <Answered asked={asked}>
          {({ items }) => (
            <table className={classes.table}>
              <thead>
                <tr>
                  <th scope="col">{t('delegation.who')}</th>
                  <th scope="col">{t('delegation.role')}</th>
                  <th scope="col">{t('delegation.where')}</th>
                  <th scope="col">{t('delegation.by')}</th>
                  <th scope="col">{t('delegation.actions')}</th>
                </tr>
              </thead>
              <tbody>
                {items.map((permission) => (
                  <tr key={permission.id}>
                    <td>
                      {permission.subject.name}{' '}
                      <span className={classes.dim}>{t(`delegation.kind.${permission.subject.kind}`)}</span>
                    </td>
                    <td>{permission.role}</td>
                    <td>
                      <code>{permission.path}</code>
                    </td>
                    <td>{permission.delegated?.by ?? t('delegation.administrator')}</td>
                    <td>
                      <Button
                        size="compact-xs"
                        variant="default"
                        disabled={!permission.delegated || refusal !== undefined}
                        title={refusal ?? (permission.delegated ? undefined : t('delegation.theirs'))}
                        onClick={() => setAsking(permission)}
                      >
                        {t('delegation.take')}
                      </Button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Answered>
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('word.close')}
          </Button>
          <Button disabled={refusal !== undefined} title={refusal} onClick={() => setAsking('give')}>
            {t('delegation.give')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}
