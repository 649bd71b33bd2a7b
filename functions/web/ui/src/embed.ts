import './styles/tokens.css';
import './styles/base.css';
import './styles/pieces.css';
import { mount } from 'svelte';
import Embed from './views/embed/Embed.svelte';

const target = document.getElementById('app');
if (target) mount(Embed, { target });
