import { Drawer } from '@mantine/core'
import type { ReactNode } from 'react'
import { useText } from '../i18n/texts.ts'
import classes from './side-drawer.module.css'

/** Navigation and tree where there is no room for them beside the page. */
export function SideDrawer(props: { isOpen: boolean; onClose: () => void; title: ReactNode; children: ReactNode }) {
  const t = useText()
  return (
    <Drawer
      opened={props.isOpen}
      onClose={props.onClose}
      size={300}
      padding={0}
      title={props.title}
      closeButtonProps={{ 'aria-label': t('word.close') }}
      classNames={{ body: classes.body, header: classes.head }}
    >
      {props.children}
    </Drawer>
  )
}
